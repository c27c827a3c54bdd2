"""Published schedule: 10 000 iterations of AdamW, rate 6e-5, head ten times that, linear warm-up, polynomial decay."""

max_iters = 10000
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='StudentOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    # custom_keys win over norm_decay_mult: as in the original, the head's norms are decayed, the backbone's are not
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0)), norm_decay_mult=0.0),
)
# both begin at 0: the decay runs through the warm-up, as in the original
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=0, end=max_iters),
]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=250)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
