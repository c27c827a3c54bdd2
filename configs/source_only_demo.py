"""Source-only training on the drawn demo data: `baseline_demo.py` without any target loss."""

_base_ = './baseline_demo.py'

model = dict(class_mix=None, masked_consistency=None, strong_augmentation=None)
