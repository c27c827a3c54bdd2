"""DACS + MIC baseline on the drawn demo data: `dlc_demo.py` without correction and label smoothing."""

_base_ = './dlc_demo.py'

model = dict(
    target_loss=dict(label_smoothing=0.0, ce_weight=1.0),
    transition=None,
    volume_loss=None,
    convexity_loss=None,
)
