"""Pseudo-labels and their quality weights (DACS, Tranheden et al., WACV 2021)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PseudoLabels(NamedTuple):
    """Labels (B, H, W) long, weight (B, H, W) float in 0..1, confidence (B, H, W) float in 0..1."""

    labels: Tensor
    weight: Tensor
    confidence: Tensor


@torch.no_grad()
def pseudo_labels(
    logits: Tensor,
    *,
    threshold: float,
    margins: tuple[int, int, int, int] = (0, 0, 0, 0),
    per_image: bool = True,
    valid: Tensor | None = None,
) -> PseudoLabels:
    """Most probable class of each pixel, weighted by the share of confident pixels.

    Args:
        logits: Teacher logits (B, K, H, W); softmax runs at least in float32.
        threshold: A pixel is confident if its largest probability is at least this, from 0 to 1.
        margins: Pixels at the top, bottom, left and right border that get weight 0; their labels are kept
            and they count in the share.
        per_image: One share per image; False takes one over the whole batch (as DACS does).
        valid: Pixels that show the image, shape (B, H, W), bool; others, which pad a small tile, get weight 0 and
            are left out of the share. None takes all.

    Returns:
        Labels, weight and confidence (the largest probability), none with a gradient.

    Raises:
        ValueError: If logits have not four dimensions, ``valid`` does not fit them, the threshold is no probability,
            or a margin is negative or leaves no pixel.

    Example:
        Three of four pixels are sure, so that all pixels get the weight 0.75.

        >>> sure, unsure = [4.0, 0.0], [0.1, 0.0]
        >>> logits = torch.tensor([[sure, sure], [sure, unsure]]).permute(2, 0, 1).unsqueeze(0)
        >>> found = pseudo_labels(logits, threshold=0.9)
        >>> found.labels.tolist(), found.weight.tolist()
        ([[[0, 0], [0, 0]]], [[[0.75, 0.75], [0.75, 0.75]]])
    """
    if logits.dim() != 4:
        raise ValueError(f'logits have shape {tuple(logits.shape)}: pass (B, K, H, W)')
    if not 0 <= threshold <= 1:
        raise ValueError(f'threshold is {threshold}: choose a number from 0 to 1')
    top, bottom, left, right = margins
    height, width = logits.shape[2:]
    if min(margins) < 0 or top + bottom >= height or left + right >= width:
        raise ValueError(f'margins {tuple(margins)} leave nothing of {height} x {width} pixels: choose others >= 0')
    if valid is None:
        valid = torch.ones_like(logits[:, 0], dtype=torch.bool)
    if valid.shape != logits[:, 0].shape:
        raise ValueError(f'valid has shape {tuple(valid.shape)}: pass {tuple(logits[:, 0].shape)}')
    dtype = torch.promote_types(logits.dtype, torch.float32)
    confidence, labels = logits.softmax(dim=1, dtype=dtype).max(dim=1)
    confident = (confidence >= threshold) & valid
    dims = (1, 2) if per_image else (0, 1, 2)
    share = confident.sum(dims, keepdim=True, dtype=dtype) / valid.sum(dims, keepdim=True).clamp_min(1)
    weight = torch.zeros_like(confidence)
    weight[:, top : height - bottom, left : width - right] = share
    return PseudoLabels(labels, weight * valid, confidence)
