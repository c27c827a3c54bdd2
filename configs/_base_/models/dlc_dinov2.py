"""DINOv2 (ViT-B/14 with LoRA) through MMPreTrain, a feature pyramid and a UPerHead, six classes.

Needs `pip install "dlc-mmseg[mmpretrain]"`. None of these configs was trained here: they need a GPU.

What learns is decided by the backbone:

- LoRA (below): low-rank updates of the attention learn, DINOv2's own weights stay.
- frozen: `backbone=dict(_delete_=True, **vit, frozen_stages=12)`; only neck and head learn.
- full: `backbone=dict(_delete_=True, **vit)`.

ViT-S/14: `arch='dinov2-small'`, 384 channels; ViT-L/14: `arch='large'`, 1024 channels, `out_indices` 5, 11, 17
and 23 (and 24 frozen stages).
"""

_base_ = './dlc.py'

norm_cfg = dict(type='BN', requires_grad=True)  # 'SyncBN' for several GPUs
channels = 768
tile_size = (518, 518)  # 37 patches of 14 px: 512 px tiles are padded by 6 px, which carry no label
# Apache-2.0. Without network, name a file: --cfg-options model.segmentor.backbone.module.init_cfg.checkpoint=FILE
weights = 'https://mmassets.onedl.ai/mmpretrain/v1.0/dinov2/vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth'
vit = dict(
    type='mmpretrain.VisionTransformer',
    arch='base',
    img_size=518,
    patch_size=14,
    layer_scale_init_value=1e-5,
    out_type='featmap',
    out_indices=[2, 5, 8, 11],
    init_cfg=dict(type='Pretrained', checkpoint=weights, prefix='backbone.'),
)
model = dict(
    data_preprocessor=dict(size=tile_size, test_cfg=dict(size=tile_size)),
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(
            type='mmpretrain.LoRAModel',
            module=vit,
            rank=16,
            alpha=16,
            targets=[dict(type='attn.qkv'), dict(type='attn.proj')],
        ),
        neck=dict(type='Feature2Pyramid', embed_dim=channels, rescales=[4, 2, 1, 0.5], norm_cfg=norm_cfg),
        decode_head=dict(
            type='UPerHead',
            in_channels=[channels] * 4,
            in_index=[0, 1, 2, 3],
            pool_scales=(1, 2, 3, 6),
            channels=256,
            dropout_ratio=0.1,
            num_classes=6,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
        ),
        test_cfg=dict(mode='slide', crop_size=tile_size, stride=(259, 259)),
    ),
)
