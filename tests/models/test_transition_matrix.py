"""State and update of the transition matrix."""

from __future__ import annotations

import pytest
import torch

from dlc_mmseg.models.transition_matrix import NoiseTransitionMatrix, Points, draw_points


def clustered_points(transition, count=1500, depth=8, seed=0):
    """Separated clusters whose labels are flipped with a known T."""
    generator = torch.Generator().manual_seed(seed)
    classes = len(transition)
    true = torch.randint(0, classes, (count,), generator=generator)
    centres = torch.eye(classes, depth) * 10
    features = centres[true] + 0.1 * torch.randn(count, depth, generator=generator)
    labels = torch.multinomial(transition[true], 1, generator=generator)[:, 0]
    return Points(features, labels)


def nothing(_):
    return {}


@pytest.mark.parametrize('classes', [2, 6, 19])
def test_starts_row_stochastic_with_the_given_diagonal(classes):
    matrix = NoiseTransitionMatrix(classes, diagonal=0.9)
    torch.testing.assert_close(matrix().sum(dim=1), torch.ones(classes))
    torch.testing.assert_close(matrix().diagonal(), torch.full((classes,), 0.9))
    torch.testing.assert_close(matrix.prior, torch.full((classes,), 1 / classes))


def test_updates_approach_the_true_matrix():
    true = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])
    matrix = NoiseTransitionMatrix(3, learning_rate=0.03, loss_weight=1.0)
    points = clustered_points(true)
    start = (matrix() - true).abs().mean()
    first = matrix.update(points, nothing)['consensus']
    for _ in range(300):
        last = matrix.update(points, nothing)['consensus']
    assert last < 0.2 * first
    assert (matrix() - true).abs().mean() < 0.04 < start


def test_first_adam_step_moves_every_logit_by_the_rate():
    matrix = NoiseTransitionMatrix(3, learning_rate=0.01, total_iterations=10)
    before = matrix.logits.clone()
    matrix.update(clustered_points(torch.full((3, 3), 1 / 3)), nothing)
    torch.testing.assert_close((matrix.logits - before).abs(), torch.full((3, 3), 0.01), rtol=0.02, atol=0)


def test_rate_falls_to_zero():
    matrix = NoiseTransitionMatrix(2, learning_rate=0.1, total_iterations=3)
    points = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    for _ in range(3):
        matrix.update(points, nothing)
    before = matrix.logits.clone()
    matrix.update(points, nothing)
    torch.testing.assert_close(matrix.logits, before)


def test_regularisers_move_the_matrix():
    matrix = NoiseTransitionMatrix(3, learning_rate=0.01)
    points = Points(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    matrix.update(points, lambda transition: {'trace': -transition.trace()})
    assert matrix().trace() > NoiseTransitionMatrix(3)().trace()


def test_state_dict_continues_exactly():
    points = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    straight = NoiseTransitionMatrix(2, total_iterations=20)
    for _ in range(5):
        straight.update(points, nothing)
    resumed = NoiseTransitionMatrix(2, total_iterations=20)
    resumed.load_state_dict(straight.state_dict())
    for _ in range(5):
        straight.update(points, nothing)
        resumed.update(points, nothing)
    assert torch.equal(straight.logits, resumed.logits)
    assert torch.equal(straight.prior_logits, resumed.prior_logits)


def test_warmup_corrects_nothing():
    matrix = NoiseTransitionMatrix(2, warmup_iterations=2)
    points = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    for _ in range(2):
        assert torch.equal(matrix.correction(), torch.eye(2))
        matrix.update(points, nothing)
    assert torch.equal(matrix.correction(), matrix())


@pytest.mark.parametrize(
    'points',
    [
        Points(torch.zeros(50, 4), torch.zeros(50, dtype=torch.long)),
        Points(torch.ones(50, 4), torch.ones(50, dtype=torch.long)),
        Points(torch.randn(2, 4), torch.tensor([0, 1])),
    ],
)
def test_degenerate_points_keep_the_state_finite(points):
    matrix = NoiseTransitionMatrix(3)
    for _ in range(3):
        matrix.update(points, nothing)
    assert torch.isfinite(matrix.logits).all()
    assert torch.isfinite(matrix.prior_logits).all()


def test_points_take_the_label_at_their_cell_and_skip_padding():
    labels = torch.arange(4).view(1, 2, 2).repeat_interleave(4, 1).repeat_interleave(4, 2)
    features = torch.nn.functional.one_hot(labels[:, ::4, ::4], 4).permute(0, 3, 1, 2).float()
    valid = torch.ones_like(labels, dtype=torch.bool)
    valid[:, 4:] = False
    points = draw_points(features, labels, valid, 10)
    assert sorted(points.labels.tolist()) == [0, 1]
    assert torch.equal(points.features.argmax(dim=1), points.labels)
    assert len(draw_points(features, labels, torch.ones_like(valid), 3).labels) == 3


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_classes': 1}, 'num_classes'),
        ({'num_classes': 3, 'num_points': 2}, 'num_points'),
        ({'num_classes': 3, 'total_iterations': 0}, 'total_iterations'),
        ({'num_classes': 3, 'warmup_iterations': -1}, 'warmup_iterations'),
        ({'num_classes': 3, 'diagonal': 0.2}, 'diagonal'),
        ({'num_classes': 3, 'estimator': 'guess'}, 'estimator'),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoiseTransitionMatrix(**arguments)
