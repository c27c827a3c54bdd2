"""Tensors that the steps of an adaptation iteration hand to each other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.functional.pseudo_label import PseudoLabels


class TeacherOutput(NamedTuple):
    """What the teacher says of a target batch.

    Attributes:
        pseudo: Pseudo-labels, weights and confidences, each of shape (B, H, W).
        logits: Teacher logits, shape (B, K, H, W).
        features: The teacher's backbone features, a tuple of (B, D, h, w), shallow to deep.
        valid: Shape (B, H, W), bool: False on pixels without data and on those that only pad a small tile.
    """

    pseudo: PseudoLabels
    logits: Tensor
    features: tuple[Tensor, ...]
    valid: Tensor


class TargetBatch(NamedTuple):
    """Target images as the student sees them, with what it should say.

    Attributes:
        name: Prefix of the logged losses.
        images: Shape (B, C, H, W).
        labels: Shape (B, H, W).
        weight: Weight of each pixel, shape (B, H, W).
        pseudo_labelled: Shape (B, H, W), bool: True where the label is a pseudo-label, False where it is true, being
            that of a pixel pasted from the source; None where all are pseudo-labels.
        loss_weight: Weight of the batch.
        update_statistics: Whether the batch enters the running statistics of the student's batch norms.
    """

    name: str
    images: Tensor
    labels: Tensor
    weight: Tensor
    pseudo_labelled: Tensor | None
    loss_weight: float
    update_statistics: bool


def stacked_labels(data_samples: list[SegDataSample]) -> Tensor:
    """Labels of a batch, shape (B, H, W), int64."""
    return torch.cat([sample.gt_sem_seg.get('data') for sample in data_samples]).long()


def valid_pixels(images: Tensor, data_samples: list[SegDataSample] | None) -> Tensor:
    """False where an image holds no data, and on the right and bottom padding of tiles smaller than the crop.

    Args:
        images: Shape (B, C, H, W).
        data_samples: Their meta data (``padding_size``) and ``nodata_map``; None if every pixel counts.

    Returns:
        Shape (B, H, W), bool.
    """
    batch_size, _, height, width = images.shape
    valid = torch.ones(batch_size, height, width, dtype=torch.bool, device=images.device)
    for index, sample in enumerate(data_samples or ()):
        _, right, _, bottom = sample.metainfo.get('padding_size', (0, 0, 0, 0))
        if right or bottom:
            valid[index, height - bottom :, :] = False
            valid[index, :, width - right :] = False
        if 'nodata_map' in sample:
            nodata = sample.get('nodata_map').get('data')[0]
            valid[index, : nodata.shape[0], : nodata.shape[1]] &= ~nodata
    return valid
