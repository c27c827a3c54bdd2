"""T from counted confusions."""

from __future__ import annotations

import pytest
import torch
from known_transition import noisy_views, nothing, random_view

from dlc_mmseg.models.losses import TransitionVolumeLoss
from dlc_mmseg.models.transition import NoiseTransitionMatrix
from dlc_mmseg.models.transition.views import Views


def confusion(classes, diagonal=0.967, total_iterations=None, **arguments):
    estimator = {'type': 'ConfusionEstimator', **arguments}
    return NoiseTransitionMatrix(classes, estimator=estimator, diagonal=diagonal, total_iterations=total_iterations)


def target(*views):
    return Views(pseudo_labelled=views)


def test_confusions_of_calibrated_views_give_the_true_matrix_and_prior():
    true = torch.tensor([[0.7, 0.2, 0.1], [0.5, 0.4, 0.1], [0.0, 0.3, 0.7]])
    prior = torch.tensor([0.6, 0.3, 0.1])
    matrix = confusion(3)
    start = (matrix() - true).abs().mean()
    views = noisy_views(true, prior, pasted_prior=torch.tensor([0.1, 0.1, 0.8]))
    for _ in range(200):
        terms = matrix.update(None, views, nothing)
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
    matrix = confusion(3, known_weight=2.5)
    matrix.update(None, Views([own], [pasted]), nothing)
    torch.testing.assert_close(matrix.estimator.counts, expected)
    torch.testing.assert_close(matrix.estimator.class_counts, class_counts)


def test_counts_average_evenly_at_first_and_forget_later():
    views = [random_view(2, seed) for seed in range(5)]
    single = []
    for view in views:
        matrix = confusion(2)
        matrix.update(None, target(view), nothing)
        single.append(matrix.estimator.counts.clone())
    matrix = confusion(2, momentum=0.25)
    for view in views:
        matrix.update(None, target(view), nothing)
    even = torch.stack(single[:4]).mean(dim=0)
    torch.testing.assert_close(matrix.estimator.counts, 0.75 * even + 0.25 * single[4])


def test_classes_that_are_never_seen_keep_their_row():
    view = random_view(2)
    logits = torch.cat([view.logits, torch.full_like(view.logits[:, :1], -1e4)], dim=1)
    matrix = confusion(3, diagonal=0.9)
    before = matrix()
    for _ in range(50):
        matrix.update(None, target(view._replace(logits=logits)), nothing)
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
    matrix = confusion(3)
    before = matrix()
    for _ in range(3):
        matrix.update(None, views, nothing)
    torch.testing.assert_close(matrix(), before)
    torch.testing.assert_close(matrix.prior, torch.full((3,), 1 / 3))


def test_extreme_logits_stay_finite():
    view = random_view(3)
    matrix = confusion(3)
    for _ in range(20):
        matrix.update(None, target(view._replace(logits=view.logits.sign() * 1e4)), nothing)
    assert torch.isfinite(matrix.logits).all()
    assert torch.isfinite(matrix.prior_logits).all()


def error_after_a_bad_start(volume_loss):
    """Error of T when a teacher that took two classes for one gets better."""
    true, bad = torch.full((3, 3), 0.1), torch.tensor([[0.9, 0.05, 0.05], [0.9, 0.05, 0.05], [0.05, 0.05, 0.9]])
    true.fill_diagonal_(0.8)
    matrix, prior = confusion(3, total_iterations=200, momentum=0.1), torch.full((3,), 1 / 3)
    for iteration in range(200):
        views = noisy_views(bad if iteration < 60 else true, prior, size=30, seed=iteration)
        matrix.update(None, views, lambda transition: {'volume': volume_loss(transition)})
    return float((matrix() - true).abs().mean())


def test_a_ridge_lets_the_matrix_leave_singular_places():
    bounded = error_after_a_bad_start(TransitionVolumeLoss(loss_weight=0.1, ridge=0.03))
    assert bounded < 0.03
    assert error_after_a_bad_start(TransitionVolumeLoss(loss_weight=0.1)) > 3 * bounded
