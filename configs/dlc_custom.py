"""DLC on two data sets of your own: edit the block below, nothing else is required.

Each data set is a folder with images and, for the source, label images of the same names (single channel, one class
index per pixel, 255 where unknown). The target needs labels only for validation. Images are PNG, JPEG or rasters of any
number of bands and depth (GeoTIFF and whatever GDAL reads: pip install "dlc-mmseg[raster]"). Then:

    mim train mmsegmentation configs/dlc_custom.py --gpus 1
    mim test mmsegmentation configs/dlc_custom.py --checkpoint work_dirs/dlc_custom/iter_4000.pth --gpus 1 --out maps

The second command writes a map of every target image (or of every validation image, and evaluates these).
"""

_base_ = ['./_base_/default_runtime.py', './_base_/models/dlc_small_resnet.py']

# ---- edit here ---------------------------------------------------------------------------------------------------
source_root = 'data/my_source'  # labelled
target_root = 'data/my_target'  # unlabelled
image_dir, label_dir = 'img', 'lbl'  # folders inside each root
image_suffix, label_suffix = '.png', '.png'
classes = ('building', 'road', 'land', 'vegetation', 'water')
palette = [[220, 40, 40], [120, 120, 120], [200, 170, 110], [40, 160, 60], [40, 90, 220]]  # RGB, one colour per class
# mean and standard deviation per band, here of 8-bit RGB; for all other images: mean, std = 'auto', 'auto'
mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
# optional text files (relative to the root) with one image name per line, without suffix; None takes every image
source_split = None
target_split = None
validation_split = None  # labelled target images to validate and test on; None: no labels, nothing to validate on
crop_size = (256, 256)
max_iters = 4000
# ------------------------------------------------------------------------------------------------------------------

# what the fields below are made from: `dlc-mmseg check` tells of values that are changed when these are made already
as_read = {name: value for name, value in list(globals().items()) if not name.startswith('_')}
num_classes = len(classes)
metainfo = dict(classes=classes, palette=palette)
source_pipeline = [
    dict(type='LoadRasterFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackRasterInputs'),
]
target_pipeline = [
    dict(type='LoadRasterFromFile'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackRasterInputs'),
]
test_pipeline = [dict(type='LoadRasterFromFile'), dict(type='PackRasterInputs')]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='PairedDomainSampler'),
    dataset=dict(
        type='PairedDomainDataset',
        source=dict(
            type='BaseSegDataset',
            metainfo=metainfo,
            data_root=source_root,
            data_prefix=dict(img_path=image_dir, seg_map_path=label_dir),
            img_suffix=image_suffix,
            seg_map_suffix=label_suffix,
            ann_file=source_split or '',
            pipeline=source_pipeline,
        ),
        target=dict(
            type='BaseSegDataset',
            metainfo=metainfo,
            data_root=target_root,
            data_prefix=dict(img_path=image_dir),
            img_suffix=image_suffix,
            ann_file=target_split or '',
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(temperature=0.5, min_pixels=1000, min_crop_ratio=0.5),
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='BaseSegDataset',
        metainfo=metainfo,
        data_root=target_root,
        data_prefix=dict(img_path=image_dir),
        img_suffix=image_suffix,
        ann_file=validation_split or '',
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_cfg = dict(type='TestLoop')
val_dataloader, val_evaluator, val_cfg = None, None, None
if validation_split is None:
    test_evaluator.update(format_only=True, output_dir='maps')  # nothing to evaluate: maps are only written
else:
    test_pipeline.insert(1, dict(type='LoadAnnotations'))
    test_dataloader['dataset'].update(
        data_prefix=dict(img_path=image_dir, seg_map_path=label_dir), seg_map_suffix=label_suffix
    )
    val_dataloader, val_evaluator, val_cfg = test_dataloader, test_evaluator, dict(type='ValLoop')

model = dict(
    data_preprocessor=dict(size=crop_size, mean=mean, std=std),  # pads tiles smaller than the crop
    segmentor=dict(
        decode_head=dict(num_classes=num_classes),
        test_cfg=dict(mode='slide', crop_size=crop_size, stride=(crop_size[0] // 2, crop_size[1] // 2)),
    ),
    warmup_iterations=max_iters // 2,  # pseudo-labels of a network from scratch are worth learning from later
    teacher_momentum=0.003,
    pseudo_label_threshold=0.9,  # a network without pre-training is never as sure as the published 0.968 asks for
    masked_consistency=dict(block_size=32),
    transition=dict(total_iterations=max_iters),
)
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='StudentOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=100),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=500)
default_hooks = dict(
    checkpoint=dict(interval=500, save_best=None if validation_split is None else 'mIoU'),
)
