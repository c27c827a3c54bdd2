"""DLC on two data sets of your own: edit the block below, nothing else is required.

Each data set is a folder with images and, for the source, label images of the same names (a value or a colour per
class; 255 where unknown). The target needs labels only for validation. Images are PNG, JPEG or rasters of any number
of bands and depth (GeoTIFF and whatever GDAL reads: pip install "dlc-mmseg[raster]"). Then:

    mim train mmsegmentation configs/dlc_custom.py --gpus 1
    mim test mmsegmentation configs/dlc_custom.py --checkpoint work_dirs/dlc_custom/iter_4000.pth --gpus 1 --out maps

--gpus 0 takes the CPU. The second command writes a map of every target image, and compares those that validation_split
names. source_only_custom.py and baseline_custom.py train on the same data without adaptation and without correction.
"""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/models/dlc_small_resnet.py',
    './_base_/models/networks.py',
]

# ---- edit here ---------------------------------------------------------------------------------------------------
source_root = 'data/my_source'  # labelled
source_images, source_image_suffix = 'img', '.png'  # folder inside the root, and how its names end
source_labels, source_label_suffix = 'lbl', '.png'
target_root = 'data/my_target'  # unlabelled
target_images, target_image_suffix = 'img', '.png'
target_labels, target_label_suffix = 'lbl', '.png'  # used only with validation_split

classes = ('building', 'road', 'land', 'vegetation', 'water')
palette = [[220, 40, 40], [120, 120, 120], [200, 170, 110], [40, 160, 60], [40, 90, 220]]  # RGB, one colour per class
# None: label values are 0, 1, .. in the order of the classes. Otherwise name the value or the colour of every class, as
# in dict(ground=0, building=255), {'road': 40, 'low vegetation': [80, 120]} or dict(road=(255, 0, 0)); under 'ignored'
# those that are no class
source_label_map = None
target_label_map = None

# numbers of the bands, from 1, in one meaning for both domains; None takes those of the files, which must then be three
source_bands = None
target_bands = None
# mean and standard deviation per band, here of 8-bit RGB; for all other images: mean, std = 'auto', 'auto'
mean, std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
value_range = 255  # image value of full brightness, 255 for 8 bits; for others `dlc-mmseg check` proposes one

# optional text files (relative to the root) with one image name per line, without suffix; None takes every image
source_split = None
target_split = None
map_split = None  # images of the target to write maps of, and to test on
validation_split = None  # labelled target images to validate and test on; None: no labels, nothing to validate on

preset = 'gpu'  # or 'cpu' (docs/custom.md says what an iteration costs)
# network, crop and iterations of each. 'tiny' and 'small' learn from scratch; 'mit_b0', 'mit_b2', 'mit_b5', 'resnet18',
# 'resnet50' and 'convnext_tiny' know ImageNet; 'dinov2_small', 'dinov2_base' and 'dinov2_large' are foundation
# backbones. The last four need pip install "dlc-mmseg[mmpretrain]"; docs/backbones.md says more, and their licences
presets = dict(gpu=('small', (256, 256), 4000), cpu=('tiny', (128, 128), 1000))
network, crop_size, max_iters = presets.get(preset, presets['gpu'])
weights_file = None  # pre-trained weights as a file, where there is no network to fetch them; None fetches them
backbone_learns = 'lora'  # of dinov2_*: 'lora' (low-rank updates of its attention), 'frozen' (only the head) or 'full'

# None, or keep the checkpoint whose maps score best without labels (docs/choosing.md says what the scores are worth):
# 'information', 'diversity' or 'confidence'
checkpoint_score = None
# ------------------------------------------------------------------------------------------------------------------

# what the fields below are made from: `dlc-mmseg check` tells of values that are changed when these are made already
as_read = {name: value for name, value in list(globals().items()) if not name.startswith('_')}
networks = _base_.networks
chosen = networks.get(network, networks['small'])
label_free_scores = ('information', 'diversity', 'confidence')
channels = len(source_bands or target_bands or (1, 2, 3))
wrong = [
    text
    for found, text in (
        (preset not in presets, f'preset is {preset!r}: choose one of {", ".join(presets)}'),
        (network not in networks, f'the network of presets is {network!r}: choose one of {", ".join(networks)}'),
        (len(palette) != len(classes), f'palette has {len(palette)} colours, classes has {len(classes)} names'),
        (len(set(classes)) < len(classes), 'classes names one twice'),
        (
            len(source_bands or [0] * channels) != len(target_bands or [0] * channels),
            'source_bands and target_bands differ in number: name the bands that mean the same, in one order',
        ),
        (
            mean != 'auto' and len(mean) not in (1, channels),
            f'mean has {len(mean)} values for {channels} bands: give one per band, or mean, std = "auto", "auto"',
        ),
        (
            'weights' in chosen and channels != 3,
            f'network "{network}" was trained on three bands, not {channels}: choose "small", or name three bands',
        ),
        (
            backbone_learns not in ('lora', 'frozen', 'full'),
            f'backbone_learns is {backbone_learns!r}: choose one of lora, frozen, full',
        ),
        (
            weights_file is not None and 'weights' not in chosen,
            f'weights_file is given, but network "{network}" learns from scratch: choose another, or None',
        ),
        (
            checkpoint_score not in (None, *label_free_scores),
            f'checkpoint_score is {checkpoint_score!r}: choose None or one of {", ".join(label_free_scores)}',
        ),
        (
            target_label_map is not None and validation_split is None,
            'target_label_map is given without validation_split: labels of the target serve for validation only',
        ),
    )
    if found
]
if wrong:
    raise ValueError('the block at the top of dlc_custom.py: ' + '; '.join(wrong))

interval = presets[preset][2] // 8  # iterations between validations and checkpoints
num_classes = len(classes)
metainfo = dict(classes=classes, palette=palette)
source_pipeline = [
    dict(type='LoadRasterFromFile', bands=source_bands),
    dict(type='LoadCodedAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackRasterInputs'),
]
target_pipeline = [
    dict(type='LoadRasterFromFile', bands=target_bands),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackRasterInputs'),
]
test_pipeline = [dict(type='LoadRasterFromFile', bands=target_bands), dict(type='PackRasterInputs')]
train_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='PairedDomainSampler'),
    dataset=dict(
        type='PairedDomainDataset',
        source=dict(
            type='CodedLabelDataset',
            metainfo=metainfo,
            label_map=source_label_map,
            data_root=source_root,
            data_prefix=dict(img_path=source_images, seg_map_path=source_labels),
            img_suffix=source_image_suffix,
            seg_map_suffix=source_label_suffix,
            ann_file=source_split or '',
            pipeline=source_pipeline,
        ),
        target=dict(
            type='CodedLabelDataset',
            metainfo=metainfo,
            data_root=target_root,
            data_prefix=dict(img_path=target_images),
            img_suffix=target_image_suffix,
            ann_file=target_split or '',
            pipeline=target_pipeline,
        ),
        rare_class_sampling=dict(temperature=0.5, min_pixels=crop_size[0] * crop_size[1] // 64, min_crop_ratio=0.5),
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CodedLabelDataset',
        metainfo=metainfo,
        data_root=target_root,
        data_prefix=dict(img_path=target_images),
        img_suffix=target_image_suffix,
        ann_file=map_split or '',
        pipeline=test_pipeline,
    ),
)
test_evaluator = dict(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
test_cfg = dict(type='TestLoop')
val_dataloader, val_evaluator, val_cfg = None, None, None
if validation_split is None:
    test_evaluator.update(format_only=True, output_dir='maps')  # nothing to evaluate: maps are only written
else:
    labelled_pipeline = [test_pipeline[0], dict(type='LoadCodedAnnotations', optional=True), test_pipeline[1]]
    labelled = dict(
        test_dataloader['dataset'],
        data_prefix=dict(img_path=target_images, seg_map_path=target_labels),
        seg_map_suffix=target_label_suffix,
        label_map=target_label_map,
        pipeline=labelled_pipeline,
    )
    val_dataloader = dict(test_dataloader, dataset=dict(labelled, ann_file=validation_split))
    val_evaluator, val_cfg = test_evaluator, dict(type='ValLoop')
    test_dataloader['dataset'] = dict(labelled, label_split=validation_split)  # maps of all, figures of these
if checkpoint_score is not None:  # of the labelled images where there are some, else of all
    val_dataloader = val_dataloader or dict(test_dataloader)
    val_evaluator = [dict(type='LabelFreeMetric'), *([test_evaluator] if validation_split else [])]
    val_cfg = dict(type='ValLoop')
# --tta: as it is, and flipped both ways; labels are read last, as they lie
tta_pipeline = [
    test_dataloader['dataset']['pipeline'][0],
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(type='RandomFlip', prob=0.0),
                dict(type='RandomFlip', prob=1.0),
                dict(type='RandomFlip', prob=1.0, direction='vertical'),
            ],
            *([step] for step in test_dataloader['dataset']['pipeline'][1:]),
        ],
    ),
]

patch = chosen.get('patch', 1)
tile_size = tuple(-(-side // patch) * patch for side in crop_size)  # crops are padded to whole patches, without labels
backbone = dict(chosen['backbone'], **({} if 'weights' in chosen else dict(in_channels=channels)))
if 'weights' in chosen:
    prefix = dict(prefix=chosen['prefix']) if 'prefix' in chosen else {}
    backbone['init_cfg'] = dict(type='Pretrained', checkpoint=weights_file or chosen['weights'], **prefix)
if 'depth' in chosen and backbone_learns == 'frozen':
    backbone['frozen_stages'] = chosen['depth']
if 'depth' in chosen and backbone_learns == 'lora':
    backbone.pop('_delete_')
    attention = [dict(type='attn.qkv'), dict(type='attn.proj')]
    backbone = dict(_delete_=True, type='mmpretrain.LoRAModel', module=backbone, rank=16, alpha=16, targets=attention)
segmentor = dict(
    backbone=backbone,
    decode_head=dict(in_channels=chosen['channels'], channels=chosen.get('width', 64), num_classes=num_classes),
    test_cfg=dict(mode='slide', crop_size=tile_size, stride=tuple(side // 2 for side in tile_size)),
)
if patch > 1:  # a transformer gives one level four times
    norm_cfg = dict(type='BN', requires_grad=True)
    segmentor['neck'] = dict(
        type='Feature2Pyramid', embed_dim=chosen['channels'][0], rescales=[4, 2, 1, 0.5], norm_cfg=norm_cfg
    )
model = dict(
    data_preprocessor=dict(  # pads tiles smaller than the crop
        size=tile_size, mean=mean, std=std, **({} if patch == 1 else dict(test_cfg=dict(size=tile_size)))
    ),
    segmentor=segmentor,
    # pre-trained features need no statistics of the target, which bring its class shares along: the student has none
    predict_with='student' if 'weights' in chosen else 'teacher',
    warmup_iterations=4 * interval,  # pseudo-labels of a network from scratch are worth learning from later
    teacher_momentum=1.5 / interval,
    strong_augmentation=dict(value_range=value_range),
    # a network without pre-training is never as sure as the published 0.968 asks for, and T answers for wrong labels
    pseudo_label_threshold=0.6,
    masked_consistency=dict(block_size=crop_size[0] // 8),
    transition=dict(total_iterations=max_iters),
)
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='StudentOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=6e-5 if 'weights' in chosen else 1e-3, weight_decay=0.01),
    # what is new beside pre-trained weights learns faster than these
    paramwise_cfg=dict(custom_keys={name: dict(lr_mult=10.0) for name in ('decode_head', 'neck', 'lora_')})
    if 'weights' in chosen
    else None,
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=interval // 5),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=interval)
save_best = dict(save_best=None if validation_split is None else 'mIoU')
if checkpoint_score is not None:
    save_best = dict(save_best=f'label_free/{checkpoint_score}', rule='greater')
default_hooks = dict(
    checkpoint=dict(interval=interval, **save_best),
    logger=dict(interval=max(1, min(50, interval // 2))),  # iterations between two lines of the log
)
custom_hooks = [
    dict(type='PseudoLabelHook', interval=2 * interval),
    dict(type='TransitionMatrixHook', interval=2 * interval),
]
