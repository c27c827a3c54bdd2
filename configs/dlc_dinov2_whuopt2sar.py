"""WHU-OPT-SAR optical to radar: DLC with DINOv2 (ViT-B/14, LoRA); no row of the paper."""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/whuopt2sar.py',
    './_base_/models/dlc_dinov2.py',
    './_base_/schedules/published.py',
]

model = dict(segmentor=dict(decode_head=dict(num_classes=7)))
