"""A ResNet-18 with half the channels and an all-MLP head: learns from scratch, on a CPU if need be."""

_base_ = './dlc.py'

norm_cfg = dict(type='BN', requires_grad=True)  # 'SyncBN' for several GPUs
model = dict(
    decode_head=dict(type='SegformerHead'),  # get_flops looks for it here
    segmentor=dict(
        type='EncoderDecoder',
        backbone=dict(
            type='ResNetV1c',
            depth=18,
            stem_channels=32,
            base_channels=32,
            out_indices=(0, 1, 2, 3),
            norm_cfg=norm_cfg,
        ),
        decode_head=dict(
            type='SegformerHead',
            in_channels=[32, 64, 128, 256],
            in_index=[0, 1, 2, 3],
            channels=64,
            dropout_ratio=0.1,
            num_classes=6,
            norm_cfg=norm_cfg,
            align_corners=False,
            loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
        ),
        test_cfg=dict(mode='whole'),
    ),
)
