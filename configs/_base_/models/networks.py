"""The networks that dlc_custom.py offers: how each differs from the ResNet of dlc_small_resnet.py, by name.

Each entry says

- `channels`: of its feature levels, shallow to deep;
- `backbone`: changes to the ResNet, or another backbone in its place (`_delete_`);
- `weights`: where its pre-trained weights lie (without, it learns from scratch), `prefix`: what precedes their names;
- `width`: channels of the head (64 where nothing is said);
- `patch`: side of its patches in pixels, which crops are padded to a multiple of (1 where nothing is said);
- `depth`: number of its transformer blocks, of those that can be frozen or trained through LoRA.

ResNets, ConvNeXt and MiT know ImageNet, DINOv2 142 million images of all kinds. MiT's weights are NVIDIA's, for
non-commercial use only; those of ConvNeXt are under the MIT licence, DINOv2's under Apache-2.0. ConvNeXt and DINOv2
need `pip install "dlc-mmseg[mmpretrain]"`.
"""

zoo = 'https://mmassets.onedl.ai'
segformer = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer'
mit = dict(_delete_=True, type='MixVisionTransformer', num_heads=[1, 2, 5, 8], sr_ratios=[8, 4, 2, 1])
dinov2 = dict(
    _delete_=True,
    type='mmpretrain.VisionTransformer',
    img_size=518,
    patch_size=14,
    layer_scale_init_value=1e-5,
    out_type='featmap',
)
networks = dict(
    tiny=dict(channels=[16, 32, 64, 128], backbone=dict(stem_channels=16, base_channels=16)),
    small=dict(channels=[32, 64, 128, 256], backbone=dict(stem_channels=32, base_channels=32)),
    mit_b0=dict(
        channels=[32, 64, 160, 256],
        backbone=dict(**mit, embed_dims=32, num_layers=[2, 2, 2, 2]),
        weights=f'{segformer}/mit_b0_20220624-7e0fe6dd.pth',
    ),
    mit_b2=dict(
        channels=[64, 128, 320, 512],
        backbone=dict(**mit, embed_dims=64, num_layers=[3, 4, 6, 3]),
        weights=f'{segformer}/mit_b2_20220624-66e8bf70.pth',
        width=256,
    ),
    mit_b5=dict(
        channels=[64, 128, 320, 512],
        backbone=dict(**mit, embed_dims=64, num_layers=[3, 6, 40, 3]),
        weights=f'{segformer}/mit_b5_20220624-658746d9.pth',
        width=256,
    ),
    resnet18=dict(
        channels=[64, 128, 256, 512],
        backbone=dict(stem_channels=64, base_channels=64),
        weights='open-mmlab://resnet18_v1c',  # MMEngine knows where
    ),
    resnet50=dict(
        channels=[256, 512, 1024, 2048],
        backbone=dict(depth=50, stem_channels=64, base_channels=64),
        weights='open-mmlab://resnet50_v1c',
        width=256,
    ),
    convnext_tiny=dict(
        channels=[96, 192, 384, 768],
        backbone=dict(
            _delete_=True,
            type='mmpretrain.ConvNeXt',
            arch='tiny',
            out_indices=[0, 1, 2, 3],
            gap_before_final_norm=False,
        ),
        weights=f'{zoo}/mmclassification/v0/convnext/downstream/convnext-tiny_3rdparty_32xb128-noema_in1k_20220301-795e9634.pth',
        prefix='backbone.',
        width=256,
    ),
    dinov2_small=dict(
        channels=[384] * 4,
        backbone=dict(**dinov2, arch='dinov2-small', out_indices=[2, 5, 8, 11]),
        weights=f'{zoo}/mmpretrain/v1.0/dinov2/vit-small-p14_dinov2-pre_3rdparty_20230426-5641ca5a.pth',
        prefix='backbone.',
        width=256,
        patch=14,
        depth=12,
    ),
    dinov2_base=dict(
        channels=[768] * 4,
        backbone=dict(**dinov2, arch='base', out_indices=[2, 5, 8, 11]),
        weights=f'{zoo}/mmpretrain/v1.0/dinov2/vit-base-p14_dinov2-pre_3rdparty_20230426-ba246503.pth',
        prefix='backbone.',
        width=256,
        patch=14,
        depth=12,
    ),
    dinov2_large=dict(
        channels=[1024] * 4,
        backbone=dict(**dinov2, arch='large', out_indices=[5, 11, 17, 23]),
        weights=f'{zoo}/mmpretrain/v1.0/dinov2/vit-large-p14_dinov2-pre_3rdparty_20230426-f3302d9e.pth',
        prefix='backbone.',
        width=256,
        patch=14,
        depth=24,
    ),
)
