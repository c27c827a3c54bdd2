"""Vaihingen to Potsdam RGB: baseline with label smoothing."""

_base_ = './dlc_vai2potrgb.py'

model = dict(
    transition=None,
    volume_loss=None,
    convexity_loss=None,
)
