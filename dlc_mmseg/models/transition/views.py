"""What estimators of T are given: points drawn from target images, and predictions beside labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Points(NamedTuple):
    """Pixels drawn for the consensus of neighbours.

    Attributes:
        features: Shape (N, D).
        labels: Pseudo-labels, shape (N,).
    """

    features: Tensor
    labels: Tensor


class LabelledView(NamedTuple):
    """What a network says of a batch, beside labels of the batch.

    Attributes:
        logits: Shape (B, K, h, w), without gradient.
        labels: Shape (B, H, W); values outside 0..K-1 do not count.
        counted: Shape (B, H, W), bool: True where the pixel counts.
        weight: What a cell of the logits counts.
    """

    logits: Tensor
    labels: Tensor
    counted: Tensor
    weight: float = 1.0


class Views(NamedTuple):
    """The views of an iteration.

    Attributes:
        pseudo_labelled: Target pixels with pseudo-labels.
        pasted: Pixels pasted from the source into target images, with their true labels.
    """

    pseudo_labelled: Sequence[LabelledView] = ()
    pasted: Sequence[LabelledView] = ()


def cell_centres(pixels: Tensor, height: int, width: int) -> Tensor:
    """Per-pixel maps of shape (..., H, W) at the centres of the cells of a coarser grid, shape (..., height, width)."""
    if tuple(pixels.shape[-2:]) == (height, width):
        return pixels
    (tall, rest), (wide, remainder) = divmod(pixels.shape[-2], height), divmod(pixels.shape[-1], width)
    if not rest and not remainder:  # a view, without a copy
        return pixels[..., tall // 2 :: tall, wide // 2 :: wide]
    rows = ((torch.arange(height, device=pixels.device) + 0.5) * pixels.shape[-2] / height).long()
    columns = ((torch.arange(width, device=pixels.device) + 0.5) * pixels.shape[-1] / width).long()
    return pixels[..., rows, :][..., columns]


def draw_points(features: Tensor, labels: Tensor, valid: Tensor, num_points: int) -> Points:
    """Draw pixels uniformly from the cells of a feature map.

    Args:
        features: Shape (B, D, h, w).
        labels: Pseudo-labels, shape (B, H, W); a cell takes the label of the pixel at its centre.
        valid: Shape (B, H, W), bool; pixels that may be drawn.
        num_points: Points to draw at most.

    Returns:
        At most ``num_points`` points, fewer where the map has fewer valid cells.
    """
    batch_size, depth, height, width = features.shape
    cell_labels = cell_centres(labels, height, width).reshape(-1)
    cell_valid = cell_centres(valid, height, width).reshape(-1)
    drawn = torch.randperm(batch_size * height * width, device=labels.device)
    drawn = drawn[cell_valid[drawn]][:num_points]
    flat = features.permute(0, 2, 3, 1).reshape(-1, depth)
    return Points(flat[drawn], cell_labels[drawn])
