"""Potsdam IRRG to Vaihingen, 512 px tiles."""

# Made with
#   python tools/convert_datasets/potsdam.py --dataset_path RAW --out_dir data/potsdam --bands irrg \
#       --clip_size 512 --stride_size 256
#   python tools/convert_datasets/vaihingen.py --dataset_path RAW --out_dir data/vaihingen \
#       --clip_size 512 --stride_size 256
# The release's README cuts at stride 512, its one config reads stride 256: set this to how your tiles were cut.
stride = 256
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
target_pipeline = [
    dict(type='LoadImageFromFile'),
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
            type='PotsdamDataset',
            data_root=f'data/potsdam/irrg_512_s{stride}',
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            pipeline=source_pipeline,
        ),
        target=dict(
            type='ISPRSDataset',
            data_root=f'data/vaihingen/irrg_512_s{stride}',
            data_prefix=dict(img_path='img_dir/train'),
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
        type='ISPRSDataset',
        data_root=f'data/vaihingen/irrg_512_s{stride}',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
