"""Potsdam IRRG to Vaihingen: DLC with DINOv2 (ViT-B/14, LoRA); no row of the paper."""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/potirrg2vai.py',
    './_base_/models/dlc_dinov2.py',
    './_base_/schedules/published.py',
]
