"""What the pairs of real images have in common: the network of the demo on crops of JPEG tiles with PNG labels."""

_base_ = '../../configs/dlc_demo.py'

crop_size = (128, 128)
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
source = dict(
    _delete_=True,
    type='BaseSegDataset',
    data_prefix=dict(img_path='img', seg_map_path='lbl'),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    pipeline=source_pipeline,
)
target = dict(
    _delete_=True,
    type='BaseSegDataset',
    data_prefix=dict(img_path='img'),
    img_suffix='.jpg',
    pipeline=target_pipeline,
)
train_dataloader = dict(dataset=dict(source=source, target=target))
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        _delete_=True,
        type='BaseSegDataset',
        data_prefix=dict(img_path='img', seg_map_path='lbl'),
        img_suffix='.jpg',
        seg_map_suffix='.png',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    ),
)
test_dataloader = val_dataloader
