"""Estimate the noise transition matrix of a labelled point set."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def initial_logits(num_classes: int, *, diagonal: float = 0.967) -> Tensor:
    """Logits whose row softmax has a given diagonal and equal shares elsewhere.

    Args:
        num_classes: K >= 2.
        diagonal: T[i, i], in (0, 1).

    Returns:
        (K, K) float32: ``log(diagonal (K - 1) / (1 - diagonal))`` on the diagonal, 0 elsewhere.

    Raises:
        ValueError: If an argument is out of range.
    """
    if num_classes < 2 or not 0 < diagonal < 1:
        raise ValueError(f'num_classes {num_classes}, diagonal {diagonal}: choose K >= 2 and a share in (0, 1)')
    return torch.eye(num_classes) * math.log(diagonal * (num_classes - 1) / (1 - diagonal))
