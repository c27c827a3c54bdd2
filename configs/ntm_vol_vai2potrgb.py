"""Vaihingen to Potsdam RGB: noise transition matrix with volume and convexity terms."""

_base_ = './dlc_vai2potrgb.py'

model = dict(
    target_loss=dict(label_smoothing=0.0, ce_weight=1.0),
)
