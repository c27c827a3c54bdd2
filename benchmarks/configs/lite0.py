"""What an ImageNet-trained EfficientNet-Lite0 changes in a config of the small network; the `*_lite0.py` take it over.

Half the iterations of the demo and half of its images: the weights know edges and textures already. The first
half trains on the source alone, so that self-training starts from a source-only model. Learning rate and momenta were
chosen on seed 3 of the pairs, which is in no table.
"""

lite0_imports = dict(
    imports=['dlc_mmseg', 'dlc_mmseg.safe_files', 'adaptation_study.efficientnet_lite'], allow_failed_imports=False
)
lite0_iterations = 320
lite0_model = dict(
    data_preprocessor=dict(mean=[127.0] * 3, std=[128.0] * 3),
    segmentor=dict(
        backbone=dict(_delete_=True, type='EfficientNetLite0'),
        decode_head=dict(in_channels=[24, 40, 112, 320]),
    ),
    warmup_iterations=lite0_iterations // 2,
    teacher_momentum=0.03,  # at the demo's 0.01 the teacher would be as old as half of the run
    transition=dict(total_iterations=lite0_iterations),
)
lite0_optim_wrapper = dict(
    optimizer=dict(lr=5e-4),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),  # the head is new
)
lite0_param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=False, begin=0, end=25),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=lite0_iterations),
]
