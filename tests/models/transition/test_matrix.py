"""State and update of the transition matrix."""

from __future__ import annotations

import pytest
import torch

from dlc_mmseg.models.losses import TransitionVolumeLoss
from dlc_mmseg.models.transition.matrix import NoiseTransitionMatrix
from dlc_mmseg.models.transition.views import LabelledView, Points, Views, cell_centres, draw_points


def clustered_points(transition, count=1500, depth=8, seed=0):
    """Separated clusters whose labels are flipped with a known T."""
    generator = torch.Generator().manual_seed(seed)
    classes = len(transition)
    true = torch.randint(0, classes, (count,), generator=generator)
    centres = torch.eye(classes, depth) * 10
    features = centres[true] + 0.1 * torch.randn(count, depth, generator=generator)
    labels = torch.multinomial(transition[true], 1, generator=generator)[:, 0]
    return Points(features, labels)


NO_POINTS = Points(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))


def consensus(classes, **arguments):
    return NoiseTransitionMatrix(classes, estimator='consensus', **arguments)


def random_view(classes, seed=0, size=8):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, size, size, generator=generator)
    labels = torch.randint(0, classes, (2, size, size), generator=generator)
    return LabelledView(logits, labels, torch.rand(2, size, size, generator=generator) < 0.9)


def target(*views):
    return Views(pseudo_labelled=views)


def noisy_views(transition, prior, pasted_prior=None, size=150, seed=0):
    """Target pixels labelled with noise of a known T, which the teacher sees through: it is sure of every true class;
    and pasted ones of a prior of their own, which the student takes for others with the same T."""
    generator, views = torch.Generator().manual_seed(seed), []
    classes, shape = len(transition), (1, size, size)
    for prior_of_view in (prior, prior if pasted_prior is None else pasted_prior):
        true = torch.multinomial(prior_of_view, size * size, replacement=True, generator=generator)
        noisy = torch.multinomial(transition[true], 1, generator=generator)[:, 0]
        predicted, labels = (noisy, true) if views else (true, noisy)
        logits = 50.0 * torch.nn.functional.one_hot(predicted, classes).t().reshape(1, classes, size, size)
        views.append(LabelledView(logits, labels.view(shape), torch.ones(shape, dtype=torch.bool)))
    return Views([views[0]], [views[1]])


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
    matrix = consensus(3, learning_rate=0.03, loss_weight=1.0)
    points = clustered_points(true)
    start = (matrix() - true).abs().mean()
    first = matrix.update(points, Views(), nothing)['residual']
    for _ in range(300):
        last = matrix.update(points, Views(), nothing)['residual']
    assert last < 0.2 * first
    assert (matrix() - true).abs().mean() < 0.04 < start


def test_confusions_of_calibrated_views_give_the_true_matrix_and_prior():
    true = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.0, 0.3, 0.7]])
    prior = torch.tensor([0.6, 0.3, 0.1])
    matrix = NoiseTransitionMatrix(3)
    start = (matrix() - true).abs().mean()
    views = noisy_views(true, prior, pasted_prior=torch.tensor([0.1, 0.1, 0.8]))
    for _ in range(200):
        terms = matrix.update(NO_POINTS, views, nothing)
    assert (matrix() - true).abs().mean() < 0.01 < start
    assert (matrix.prior - prior).abs().max() < 0.02
    assert terms['residual'] < 1e-3


def test_confusion_counts_every_pixel_by_hand():
    own, pasted = random_view(3, size=4), random_view(3, seed=1, size=4)
    expected, class_counts = torch.zeros(3, 3), torch.zeros(3)
    for b, y, x in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(4)).tolist():
        if own.counted[b, y, x]:
            expected[:, int(own.labels[b, y, x])] += own.logits.softmax(dim=1)[b, :, y, x]
            class_counts += own.logits.softmax(dim=1)[b, :, y, x]
        if pasted.counted[b, y, x]:
            expected[int(pasted.labels[b, y, x]), int(pasted.logits[b, :, y, x].argmax())] += 2.5
    matrix = NoiseTransitionMatrix(3, known_weight=2.5)
    matrix.update(NO_POINTS, Views([own], [pasted]), nothing)
    torch.testing.assert_close(matrix.estimator.counts, expected)
    torch.testing.assert_close(matrix.estimator.class_counts, class_counts)


def test_counts_average_evenly_at_first_and_forget_later():
    views = [random_view(2, seed) for seed in range(5)]
    single = []
    for view in views:
        matrix = NoiseTransitionMatrix(2)
        matrix.update(NO_POINTS, target(view), nothing)
        single.append(matrix.estimator.counts.clone())
    matrix = NoiseTransitionMatrix(2, momentum=0.25)
    for view in views:
        matrix.update(NO_POINTS, target(view), nothing)
    even = torch.stack(single[:4]).mean(dim=0)
    torch.testing.assert_close(matrix.estimator.counts, 0.75 * even + 0.25 * single[4])


def test_classes_that_are_never_seen_keep_their_row():
    view = random_view(2)
    logits = torch.cat([view.logits, torch.full_like(view.logits[:, :1], -1e4)], dim=1)
    matrix = NoiseTransitionMatrix(3, diagonal=0.9)
    before = matrix()
    for _ in range(50):
        matrix.update(NO_POINTS, target(view._replace(logits=logits)), nothing)
    torch.testing.assert_close(matrix()[2], before[2], rtol=0, atol=1e-3)
    assert (matrix() - before)[:2].abs().max() > 0.1


@pytest.mark.parametrize('views', ['none', 'nothing counted', 'ignored'])
def test_views_without_a_counted_pixel_change_nothing(views):
    view = random_view(3)
    if views == 'nothing counted':
        view = view._replace(counted=torch.zeros_like(view.counted))
    elif views == 'ignored':
        view = view._replace(labels=torch.full_like(view.labels, 255))
    views = Views() if views == 'none' else Views([view], [view])
    matrix = NoiseTransitionMatrix(3)
    before = matrix()
    for _ in range(3):
        matrix.update(NO_POINTS, views, nothing)
    torch.testing.assert_close(matrix(), before)
    torch.testing.assert_close(matrix.prior, torch.full((3,), 1 / 3))


def test_extreme_logits_stay_finite():
    view = random_view(3)
    matrix = NoiseTransitionMatrix(3)
    for _ in range(20):
        matrix.update(NO_POINTS, target(view._replace(logits=view.logits.sign() * 1e4)), nothing)
    assert torch.isfinite(matrix.logits).all()
    assert torch.isfinite(matrix.prior_logits).all()


def test_cells_take_the_pixel_at_their_centre():
    pixels = torch.arange(36).view(1, 6, 6)
    assert cell_centres(pixels, 2, 3).tolist() == [[[7, 9, 11], [25, 27, 29]]]


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
    matrix.update(NO_POINTS, Views(), lambda transition: {'trace': -transition.trace()})
    assert matrix().trace() > NoiseTransitionMatrix(3)().trace()


def error_after_a_bad_start(volume_loss):
    """Error of T when a teacher that took two classes for one gets better."""
    true, bad = torch.full((3, 3), 0.1), torch.tensor([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])
    true.fill_diagonal_(0.8)
    matrix, prior = NoiseTransitionMatrix(3, total_iterations=200, momentum=0.1), torch.full((3,), 1 / 3)
    for iteration in range(200):
        views = noisy_views(bad if iteration < 60 else true, prior, size=30, seed=iteration)
        matrix.update(NO_POINTS, views, lambda transition: {'volume': volume_loss(transition)})
    return float((matrix() - true).abs().mean())


def test_a_ridge_lets_the_matrix_leave_singular_places():
    bounded = error_after_a_bad_start(TransitionVolumeLoss(loss_weight=0.1, ridge=0.03))
    assert bounded < 0.03
    assert error_after_a_bad_start(TransitionVolumeLoss(loss_weight=0.1)) > 3 * bounded


@pytest.mark.parametrize('estimator', ['confusion', 'consensus'])
def test_state_dict_continues_exactly(estimator):
    points, views = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]])), target(random_view(2))
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


def test_warmup_corrects_nothing():
    matrix = consensus(2, warmup_iterations=2)
    points = clustered_points(torch.tensor([[0.8, 0.2], [0.2, 0.8]]))
    for _ in range(2):
        assert torch.equal(matrix.correction(), torch.eye(2))
        matrix.update(points, Views(), nothing)
    assert torch.equal(matrix.correction(), matrix())


@pytest.mark.parametrize(
    'points',
    [
        Points(torch.zeros(50, 4), torch.zeros(50, dtype=torch.long)),
        Points(torch.randn(50, 4), torch.ones(50, dtype=torch.long)),
        Points(torch.ones(50, 4), torch.arange(50) % 3),
        Points(torch.randn(2, 4), torch.tensor([0, 1])),
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


def test_a_gradient_that_is_not_finite_moves_nothing_then_or_later():
    matrix, clean = NoiseTransitionMatrix(3), NoiseTransitionMatrix(3)
    views = target(random_view(3))
    matrix.update(NO_POINTS, views, lambda transition: {'steep': (transition[0, 1] - transition[0, 1].detach()).sqrt()})
    assert torch.equal(matrix.logits, clean.logits)
    for _ in range(20):
        matrix.update(NO_POINTS, views, nothing)
    assert (matrix.logits - clean.logits).abs().min() > 0.1


def test_points_take_the_label_at_their_cell_and_skip_padding():
    labels = torch.arange(4).view(1, 2, 2).repeat_interleave(4, 1).repeat_interleave(4, 2)
    features = torch.nn.functional.one_hot(labels[:, ::4, ::4], 4).permute(0, 3, 1, 2).float()
    valid = torch.ones_like(labels, dtype=torch.bool)
    valid[:, 4:] = False
    points = draw_points(features, labels, valid, 10)
    assert sorted(points.labels.tolist()) == [0, 1]
    assert torch.equal(points.features.argmax(dim=1), points.labels)
    assert len(draw_points(features, labels, torch.ones_like(valid), 3).labels) == 3


def test_no_points_take_nothing_from_the_generator():
    features, labels = torch.randn(1, 4, 2, 2), torch.zeros(1, 8, 8).long()
    state = torch.get_rng_state()
    points = draw_points(features, labels, labels == 0, 0)
    assert points.features.shape == (0, 4)
    assert points.labels.shape == (0,)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num_classes': 1}, 'num_classes'),
        ({'num_classes': 3, 'num_points': 2}, 'num_points'),
        ({'num_classes': 3, 'total_iterations': 0}, 'total_iterations'),
        ({'num_classes': 3, 'warmup_iterations': -1}, 'warmup_iterations'),
        ({'num_classes': 3, 'diagonal': 0.2}, 'diagonal'),
        ({'num_classes': 3, 'estimator': 'guess'}, 'estimator'),
        ({'num_classes': 3, 'momentum': 0.0}, 'momentum'),
        ({'num_classes': 3, 'known_weight': -1.0}, 'known_weight'),
        ({'num_classes': 3, 'learning_rate': -1.0}, 'learning_rate'),
        ({'num_classes': 3, 'loss_weight': float('nan')}, 'loss_weight'),
        ({'num_classes': 3, 'betas': (0.9, 1.0)}, 'betas'),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        NoiseTransitionMatrix(**arguments)
