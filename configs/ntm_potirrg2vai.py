"""Potsdam IRRG to Vaihingen: noise transition matrix alone."""

_base_ = './dlc_potirrg2vai.py'

model = dict(
    target_loss=dict(label_smoothing=0.0, ce_weight=1.0),
    volume_loss=None,
    convexity_loss=None,
)
