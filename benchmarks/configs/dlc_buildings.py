"""DLC from aerial images of Nairobi (labelled) to those of Catanduanes, with the network of the demo: buildings."""

_base_ = '../../configs/dlc_demo.py'

data_root = '../shared/data/buildings_mini'
crop_size = (128, 128)
metainfo = dict(
    classes=('background', 'building'),
    palette=[[120, 120, 120], [220, 40, 40]],
)
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
    metainfo=metainfo,
    data_root=f'{data_root}/nairobi',
    data_prefix=dict(img_path='img', seg_map_path='lbl'),
    img_suffix='.jpg',
    seg_map_suffix='.png',
    pipeline=source_pipeline,
)
target = dict(
    _delete_=True,
    type='BaseSegDataset',
    metainfo=metainfo,
    data_root=f'{data_root}/catanduanes',
    data_prefix=dict(img_path='img'),
    img_suffix='.jpg',
    ann_file='train.txt',
    pipeline=target_pipeline,
)
train_dataloader = dict(dataset=dict(source=source, target=target))
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        _delete_=True,
        type='BaseSegDataset',
        metainfo=metainfo,
        data_root=f'{data_root}/catanduanes',
        data_prefix=dict(img_path='img', seg_map_path='lbl'),
        img_suffix='.jpg',
        seg_map_suffix='.png',
        ann_file='val.txt',
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    ),
)
test_dataloader = val_dataloader
model = dict(segmentor=dict(decode_head=dict(num_classes=2)))
