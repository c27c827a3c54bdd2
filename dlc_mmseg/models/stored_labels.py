"""Label maps that MMSegmentation stores in data samples."""

from __future__ import annotations

from mmseg.structures import SegDataSample
from torch import Tensor


def label_map(sample: SegDataSample, name: str) -> Tensor:
    """Labels of a sample, ``gt_sem_seg`` or ``pred_sem_seg``: shape (H, W), int64, on the CPU."""
    labels: Tensor = sample.get(name).get('data')
    return labels[0].cpu().long()
