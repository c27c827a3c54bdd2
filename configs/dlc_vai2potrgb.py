"""Vaihingen to Potsdam RGB: full DLC, HRDA with MiT-B5; `dlc_potirrg2vai.py` explains the parts."""

_base_ = [
    './_base_/default_runtime.py',
    './_base_/datasets/vai2potrgb.py',
    './_base_/models/dlc_hrda_mitb5.py',
    './_base_/schedules/published.py',
]
