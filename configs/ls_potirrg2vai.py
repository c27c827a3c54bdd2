"""Potsdam IRRG to Vaihingen: baseline with label smoothing."""

_base_ = './dlc_potirrg2vai.py'

model = dict(
    transition=None,
    volume_loss=None,
    convexity_loss=None,
)
