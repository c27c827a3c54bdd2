"""WHU-OPT-SAR, optical to radar, 512 px tiles, seven classes."""

# Made with
#   python tools/convert_datasets/whuoptsar.py --dataset_path RAW --out_dir data/whu-opt-sar \
#       --clip_size 512 --stride_size 512
stride = 512  # how the tiles were cut
source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=False),
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
    dict(type='LoadAnnotations', reduce_zero_label=False),
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
            type='WHUOptSarDataset',
            data_root=f'data/whu-opt-sar/optical_512_s{stride}',
            data_prefix=dict(img_path='img_dir/train', seg_map_path='ann_dir/train'),
            pipeline=source_pipeline,
        ),
        target=dict(
            type='WHUOptSarDataset',
            data_root=f'data/whu-opt-sar/sar_512_s{stride}',
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
        type='WHUOptSarDataset',
        data_root=f'data/whu-opt-sar/sar_512_s{stride}',
        data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_evaluator = val_evaluator
