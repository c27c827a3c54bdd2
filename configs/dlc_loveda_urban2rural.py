"""LoveDA urban to rural: full DLC, HRDA with MiT-B5; `dlc_potirrg2vai.py` explains the parts."""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/loveda_urban2rural.py',
    './_base_/models/dlc_hrda_mitb5.py',
    './_base_/schedules/published.py',
]

model = dict(
    segmentor=dict(decode_head=dict(head=dict(num_classes=7), scale_attention=dict(num_classes=7))),
)
