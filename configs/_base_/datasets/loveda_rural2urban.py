"""LoveDA rural to urban, as the data set's authors pose it: target images and labels for evaluation from its Val split.

`dlc-mmseg convert-loveda` puts Train and Val into data/loveDA (so does unzipping them there); 512 px crops of 1024 px
images.
"""

source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomCrop', crop_size=(512, 512), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomCrop', crop_size=(512, 512)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
# --tta: as it is, and flipped both ways; labels are read last, as they lie
tta_pipeline = [
    test_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0),
                dict(type='RandomFlip', prob=1.0),
                dict(type='RandomFlip', prob=1.0, direction='vertical'),
            ],
            *([step] for step in test_pipeline[1:]),
        ],
    ),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='PairedDomainSampler'),
    dataset=dict(
        type='PairedDomainDataset',
        source=dict(
            type='LoveDADataset',
            data_root='data/loveDA',
            data_prefix=dict(img_path='Train/Rural/images_png', seg_map_path='Train/Rural/masks_png'),
            pipeline=source_pipeline,
        ),
        target=dict(
            type='LoveDADataset',
            data_root='data/loveDA',
            data_prefix=dict(img_path='Val/Urban/images_png'),
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(temperature=0.01, min_pixels=3000, min_crop_ratio=2.0),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='LoveDADataset',
        data_root='data/loveDA',
        data_prefix=dict(img_path='Val/Urban/images_png', seg_map_path='Val/Urban/masks_png'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
