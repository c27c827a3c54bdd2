"""Dynamic Loss Correction around a segmentor that the config adds as ``model.segmentor``.

A part set to None is switched off: ``transition=None, volume_loss=None, convexity_loss=None`` is the DACS + MIC
baseline, ``class_mix=None, masked_consistency=None`` on top of it is source-only training.
"""

model = dict(
    type='DLCSegmentor',
    data_preprocessor=dict(
        type='PairedDomainDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    ),
    class_mix=dict(type='ClassMix'),
    masked_consistency=dict(type='MaskedImageConsistency', mask_ratio=0.7, block_size=64),
    strong_augmentation=dict(type='StrongAugmentation'),
    # batch norms normalise and predict with the statistics of the target, weighted to the class shares of the source;
    # a network without batch norms (GN, LN) needs none of this
    teacher_statistics=dict(type='ClassMatchedStatistics'),
    predict_with='teacher',
    teacher_momentum=0.001,
    pseudo_label_threshold=0.968,
    target_loss=dict(type='ForwardCorrectedCrossEntropyLoss', label_smoothing=0.02, ce_weight=0.8),
    transition=dict(type='NoiseTransitionMatrix', estimator=dict(type='ConfusionEstimator')),
    # the ridge lets T leave the neighbourhood of singular matrices, where an untrained teacher leads it
    volume_loss=dict(type='TransitionVolumeLoss', loss_weight=0.1, ridge=0.03),
    convexity_loss=dict(type='TransitionConvexityLoss', loss_weight=0.1),
)
