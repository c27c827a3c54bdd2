"""Scores of predictions against sums written out, and against what they must be at the extremes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dlc_mmseg.functional.label_free_scores import mean_iou, mixed_agreement, prediction_scores, prediction_sums


def random_probs(seed=0, classes=4, size=(5, 7)):
    return torch.randn(classes, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).softmax(0)


def test_scores_are_those_written_out():
    probs = random_probs()
    found = prediction_scores(prediction_sums(probs))
    p = probs.flatten(1).numpy()
    mean = p.mean(1)
    marginal, conditional = -(mean * np.log(mean)).sum(), -(p * np.log(p)).sum(0).mean()
    assert found.confidence == pytest.approx(p.max(0).mean())
    assert found.diversity == pytest.approx(marginal / math.log(4))
    assert found.information == pytest.approx((marginal - conditional) / math.log(4))


def test_images_may_be_added_one_by_one_and_pixels_left_out():
    first, second = random_probs(1), random_probs(2)
    both = prediction_scores(prediction_sums(torch.cat([first, second], dim=1)))
    summed = prediction_scores(prediction_sums(first).plus(prediction_sums(second)))
    assert summed == pytest.approx(both)
    valid = torch.zeros(5, 7, dtype=torch.bool)
    valid[:2] = True
    assert prediction_scores(prediction_sums(first, valid)) == pytest.approx(
        prediction_scores(prediction_sums(first[:, :2]))
    )


@pytest.mark.parametrize(
    ('probs', 'expected'),
    [
        (torch.tensor([1.0, 0, 0, 0]).view(4, 1, 1).expand(4, 3, 3), (1, 0, 0)),  # one class everywhere: collapsed
        (torch.full((4, 3, 3), 0.25), (0.25, 1, 0)),  # knows nothing
        (torch.eye(4).view(4, 2, 2), (1, 1, 1)),  # sure, of every class
    ],
)
def test_extremes(probs, expected):
    assert prediction_scores(prediction_sums(probs)) == pytest.approx(expected, abs=1e-6)


def test_agreement_is_counted_apart_where_the_two_images_agree():
    dominant = torch.tensor([[0, 0, 1, 1]])
    other = torch.tensor([[0, 1, 1, 0]])
    mixed = torch.tensor([[0, 0, 0, 1]])
    found = mixed_agreement(mixed, dominant, other)
    assert found.same.tolist() == [1, 2]  # pixels 0 and 2: 0 agrees, 2 does not
    assert found.different.tolist() == [2, 2]
    assert found.score == pytest.approx((0.5 + 1) / 2)
    half = mixed_agreement(mixed, dominant, other, valid=torch.tensor([[True, False, True, False]]))
    assert half.different.tolist() == [0, 0]
    assert half.score == 0.5  # the kind without pixels is left out
    assert math.isnan(mixed_agreement(mixed, dominant, other, valid=torch.zeros(1, 4, dtype=torch.bool)).score)


def test_mean_iou_leaves_out_classes_without_pixels():
    counts = torch.tensor([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert mean_iou(counts) == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert math.isnan(mean_iou(torch.zeros(2, 2)))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r'pass \(K, H, W\)'):
        prediction_sums(torch.ones(1, 2, 3, 4))


def test_one_class_has_no_diversity_to_compare():
    with pytest.raises(ValueError, match='1 class: these scores compare classes, of which there must be 2 or more'):
        prediction_sums(torch.ones(1, 3, 4))
