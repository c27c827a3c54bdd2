"""T from the consensus of neighbours."""

from __future__ import annotations

import pytest
import torch
from known_transition import clustered_points, nothing

from dlc_mmseg.models.transition import NoiseTransitionMatrix
from dlc_mmseg.models.transition.views import Points, Views


def consensus(classes, total_iterations=None, **arguments):
    estimator = {'type': 'ConsensusEstimator', **arguments}
    return NoiseTransitionMatrix(classes, estimator=estimator, total_iterations=total_iterations)


def test_updates_approach_the_true_matrix():
    true = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])
    matrix = consensus(3, learning_rate=0.03, loss_weight=1.0)
    points = clustered_points(true)
    start = (matrix() - true).abs().mean()
    first = matrix.update(points, Views(), nothing)['residual']
    for _ in range(300):
        last = matrix.update(points, Views(), nothing)['residual']
    assert last < 0.2 * first
    assert (matrix() - true).abs().mean() < 0.04 < start


@pytest.mark.parametrize(
    'points',
    [
        Points(torch.zeros(50, 4), torch.zeros(50, dtype=torch.long)),
        Points(torch.randn(50, 4), torch.ones(50, dtype=torch.long)),
        Points(torch.ones(50, 4), torch.arange(50) % 3),
        Points(torch.randn(2, 4), torch.tensor([0, 1])),
        None,
    ],
)
def test_points_that_say_nothing_leave_the_matrix_alone(points):
    matrix = consensus(3, learning_rate=0.03)
    before = matrix.logits.clone(), matrix.prior_logits.clone()
    for _ in range(3):
        with pytest.warns(UserWarning, match='says nothing about the transition matrix'):
            terms = matrix.update(points, Views(), nothing)
    assert terms['residual'] == 0
    assert torch.equal(matrix.logits, before[0])
    assert torch.equal(matrix.prior_logits, before[1])
