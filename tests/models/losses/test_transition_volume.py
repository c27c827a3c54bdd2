"""Volume loss: value, direction of descent, limits."""

from __future__ import annotations

import math

import pytest
import torch
from mmseg.registry import MODELS

from dlc_mmseg.models.losses import TransitionVolumeLoss


def test_value_is_the_weighted_log_determinant():
    loss = MODELS.build({'type': 'TransitionVolumeLoss', 'loss_weight': 0.1})
    transition = torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    assert loss(transition).item() == pytest.approx(0.1 * math.log(0.5), rel=1e-5)


def test_descent_shrinks_the_volume_and_stops_at_singular():
    logits = (2 * torch.eye(3)).requires_grad_()
    loss = TransitionVolumeLoss()
    before = loss(logits.softmax(dim=1))
    before.backward()
    assert loss((logits - 0.1 * logits.grad).softmax(dim=1)) < before
    flat = torch.zeros(3, 3, requires_grad=True)
    loss(flat.softmax(dim=1)).backward()
    assert not flat.grad.any()


def test_a_ridge_is_added_to_the_squared_singular_values():
    transition = torch.tensor([[0.8, 0.2], [0.3, 0.7]])
    squares = torch.linalg.svdvals(transition) ** 2
    expected = 0.1 * 0.5 * (squares + 0.03).log().sum()
    torch.testing.assert_close(TransitionVolumeLoss(loss_weight=0.1, ridge=0.03)(transition), expected)


@pytest.mark.parametrize('argument', ['loss_weight', 'ridge'])
def test_negative_arguments_are_refused(argument):
    with pytest.raises(ValueError, match=argument):
        TransitionVolumeLoss(**{argument: -1})
