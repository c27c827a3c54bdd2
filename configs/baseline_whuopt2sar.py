"""WHU-OPT-SAR optical to radar: DACS + MIC baseline."""

_base_ = './dlc_whuopt2sar.py'

model = dict(
    target_loss=dict(label_smoothing=0.0, ce_weight=1.0),
    transition=None,
    volume_loss=None,
    convexity_loss=None,
)
