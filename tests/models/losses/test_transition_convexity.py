"""Convexity loss: value and direction of descent."""

from __future__ import annotations

import pytest
import torch
from mmseg.registry import MODELS

from dlc_mmseg.functional import convexity_distance
from dlc_mmseg.models.losses import TransitionConvexityLoss


def test_value_is_the_weighted_negative_distance():
    loss = MODELS.build({'type': 'TransitionConvexityLoss', 'loss_weight': 0.1})
    assert loss(torch.eye(5)).item() == pytest.approx(-0.1 * 5 * 1.25)


def test_descent_drives_rows_apart():
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = TransitionConvexityLoss()
    loss(logits.softmax(dim=1)).backward()
    moved = (logits - 0.5 * logits.grad).softmax(dim=1)
    assert convexity_distance(moved) > convexity_distance(logits.softmax(dim=1))


def test_negative_weight_is_refused():
    with pytest.raises(ValueError, match='loss_weight'):
        TransitionConvexityLoss(loss_weight=-1)
