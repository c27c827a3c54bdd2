"""The drawn demo data: Potsdam-like source, Vaihingen-like target, 128 px tiles (``make demo`` makes them)."""

data_root = 'data/demo'
crop_size = (128, 128)
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackSegInputs'),
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
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
source = dict(
    type='PotsdamDataset',
    data_root=f'{data_root}/potsdam/irrg_128_s128',
    data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
    pipeline=source_pipeline,
)
target = dict(
    type='ISPRSDataset',
    data_root=f'{data_root}/vaihingen/irrg_128_s128',
    data_prefix=dict(img_path='img_dir/train'),
    pipeline=target_pipeline,
)
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='PairedDomainSampler'),
    dataset=dict(
        type='PairedDomainDataset',
        source=source,
        target=target,
        # tiles of 128 px: 3000 pixels would be a fifth of one
        rare_class_sampling=dict(temperature=0.5, min_pixels=100, min_crop_ratio=0.0),
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ISPRSDataset',
        data_root=f'{data_root}/vaihingen/irrg_128_s128',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
