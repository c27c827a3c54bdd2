"""DACS + MIC baseline on the data sets that `dlc_custom.py` names: without correction and label smoothing."""

_base_ = './dlc_custom.py'

model = dict(
    target_loss=dict(label_smoothing=0.0, ce_weight=1.0),
    transition=None,
    volume_loss=None,
    convexity_loss=None,
)
