"""State and update of the transition matrix."""

from __future__ import annotations

import pytest
import torch
from known_transition import clustered_points, nothing, random_view

from dlc_mmseg.models.transition import NoiseTransitionMatrix
from dlc_mmseg.models.transition.views import Views


def consensus(classes, total_iterations=None, warmup_iterations=0, **arguments):
    return NoiseTransitionMatrix(
        classes,
        estimator={'type': 'ConsensusEstimator', **arguments},
        total_iterations=total_iterations,
        warmup_iterations=warmup_iterations,
    )


@pytest.mark.parametrize('classes', [2, 6, 19])
def test_starts_row_stochastic_with_the_given_diagonal(classes):
    matrix = NoiseTransitionMatrix(classes, diagonal=0.9)
    torch.testing.assert_close(matrix().sum(dim=1), torch.ones(classes))
    torch.testing.assert_close(matrix().diagonal(), torch.full((classes,), 0.9))
    torch.testing.assert_close(matrix.prior, torch.full((classes,), 1 / classes))


def test_first_adam_step_moves_every_logit_by_the_rate():
    matrix = consensus(3, learning_rate=0.01, total_iterations=10)
    before = matrix.logits.clone()
    matrix.update(clustered_points(torch.full((3, 3), 1 / 3)), Views(), nothing)
    torch.testing.assert_close((matrix.logits - before).abs(), torch.full((3, 3), 0.01), rtol=0.02, atol=0)


def test_rate_falls_to_zero():
    matrix = consensus(2, learning_rate=0.1, total_iterations=3)
    points = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    for _ in range(3):
        matrix.update(points, Views(), nothing)
    before = matrix.logits.clone()
    matrix.update(points, Views(), nothing)
    torch.testing.assert_close(matrix.logits, before)


def test_regularisers_move_the_matrix():
    matrix = consensus(3, learning_rate=0.01)
    matrix.update(None, Views(), lambda transition: {'trace': -transition.trace()})
    assert matrix().trace() > NoiseTransitionMatrix(3)().trace()


@pytest.mark.parametrize('estimator', ['confusion', 'consensus'])
def test_state_dict_continues_exactly(estimator):
    points, views = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]])), Views([random_view(2)])
    straight = NoiseTransitionMatrix(2, total_iterations=20, estimator=estimator)
    for _ in range(5):
        straight.update(points, views, nothing)
    resumed = NoiseTransitionMatrix(2, total_iterations=20, estimator=estimator)
    resumed.load_state_dict(straight.state_dict())
    for _ in range(5):
        straight.update(points, views, nothing)
        resumed.update(points, views, nothing)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize('estimator', ['ConfusionEstimator', 'ConsensusEstimator'])
def test_checkpoints_of_version_0_1_load(estimator):
    shapes = {'logits': (2, 2), 'prior_logits': (2,), 'moments': (6,), 'squared_moments': (6,), 'steps': ()}
    if estimator == 'ConfusionEstimator':
        shapes |= {'estimator.counts': (2, 2), 'estimator.class_counts': (2,), 'estimator.iterations': ()}
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.rand(shape, generator=generator) for name, shape in shapes.items()}
    matrix = NoiseTransitionMatrix(2, estimator=estimator)
    matrix.load_state_dict(state)
    torch.testing.assert_close(matrix(), state['logits'].softmax(dim=1))
    assert torch.equal(matrix.steps, state['steps'])


def test_warmup_corrects_nothing():
    matrix = consensus(2, warmup_iterations=2)
    points = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    for _ in range(2):
        assert torch.equal(matrix.correction(), torch.eye(2))
        matrix.update(points, Views(), nothing)
    assert torch.equal(matrix.correction(), matrix())


def test_a_gradient_that_is_not_finite_moves_nothing_then_or_later():
    matrix, clean = NoiseTransitionMatrix(3), NoiseTransitionMatrix(3)
    views = Views([random_view(3)])
    matrix.update(None, views, lambda transition: {'steep': (transition[0, 1] - transition[0, 1].detach()).sqrt()})
    assert torch.equal(matrix.logits, clean.logits)
    for _ in range(20):
        matrix.update(None, views, nothing)
    assert (matrix.logits - clean.logits).abs().min() > 0.1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_classes': 1}, 'num_classes'),
        ({'num_classes': 3, 'total_iterations': 0}, 'total_iterations'),
        ({'num_classes': 3, 'warmup_iterations': -1}, 'warmup_iterations'),
        ({'num_classes': 3, 'diagonal': 0.2}, 'diagonal'),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoiseTransitionMatrix(**arguments)
