"""DLC from Czech aerial photographs (labelled, 0.25 m) to satellite images of Dubai, with the network of the demo."""

_base_ = './real_pair.py'

data_root = '../shared/data/landcover5_mini'
metainfo = dict(
    classes=('building', 'road', 'land', 'vegetation', 'water'),
    palette=[[220, 40, 40], [120, 120, 120], [200, 170, 110], [40, 160, 60], [40, 90, 220]],
)
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    # a house of Dubai has a quarter of the pixels' side of a Czech one
    dict(type='RandomResize', scale=(512, 512), ratio_range=(0.25, 0.75), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
source = dict(metainfo=metainfo, data_root=f'{data_root}/cz', pipeline=source_pipeline)
target = dict(
    metainfo=metainfo,
    data_root=f'{data_root}/dubai',
    ann_file='{{fileDirname}}/dubai_train.txt',  # tiles 1, 3, 4 and 5
)
train_dataloader = dict(dataset=dict(source=source, target=target))
val_dataloader = dict(
    dataset=dict(
        metainfo=metainfo,
        data_root=f'{data_root}/dubai',
        ann_file='{{fileDirname}}/dubai_val.txt',  # tiles 6, 7 and 8: other places
    )
)
test_dataloader = val_dataloader
model = dict(segmentor=dict(decode_head=dict(num_classes=5)))
