"""HRDA with DAFormer heads on MiT-B5, six classes; other counts override both ``num_classes``."""

_base_ = './dlc_published.py'

norm_cfg = dict(type='BN', requires_grad=True)  # 'SyncBN' for several GPUs
# MiT weights: NVIDIA's non-commercial licence. Without network: --cfg-options model.segmentor.backbone.init_cfg=None
mit_b5_weights = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b5_20220624-658746d9.pth'
model = dict(
    decode_head=dict(type='HRDAHead'),  # get_flops looks for it here
    segmentor=dict(
        type='HRDAEncoderDecoder',
        scales=(0.5, 1.0),
        crop_size=(256, 256),
        detail_loss_weight=0.1,
        backbone=dict(
            type='LegacyMixVisionTransformer',  # MixVisionTransformer with the epsilons of the published weights
            embed_dims=64,
            num_layers=[3, 6, 40, 3],
            num_heads=[1, 2, 5, 8],
            sr_ratios=[8, 4, 2, 1],
            drop_path_rate=0.1,
            init_cfg=dict(type='Pretrained', checkpoint=mit_b5_weights),
        ),
        decode_head=dict(
            type='HRDAHead',
            head=dict(
                type='DAFormerHead',
                in_channels=[64, 128, 320, 512],
                channels=256,
                embed_dims=256,
                fusion='aspp',
                dilations=(1, 6, 12, 18),
                dropout_ratio=0.1,
                num_classes=6,
                norm_cfg=norm_cfg,
                loss_decode=dict(type='CrossEntropyLoss', loss_weight=1.0),
            ),
            scale_attention=dict(
                type='DAFormerHead',
                in_channels=[64, 128, 320, 512],
                channels=256,
                embed_dims=256,
                fusion='conv',
                dropout_ratio=0.1,
                num_classes=6,
                norm_cfg=norm_cfg,
            ),
        ),
        test_cfg=dict(mode='slide', crop_size=(512, 512), stride=(256, 256)),
    ),
)
