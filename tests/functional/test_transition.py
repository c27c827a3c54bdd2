"""Forward correction and the regularisers of T against float64 references."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from dlc_mmseg.functional import (
    convexity_distance,
    convexity_weights,
    forward_corrected_cross_entropy,
    log_volume,
)


def _batch(classes=4, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, classes, 5, 3, generator=generator, dtype=dtype)
    labels = torch.randint(classes, (2, 5, 3), generator=generator)
    labels[0, 0] = 255
    transition = torch.rand(classes, classes, generator=generator, dtype=dtype) + 0.05
    transition = transition / transition.sum(dim=1, keepdim=True)
    mask = torch.rand(2, 5, 3, generator=generator) > 0.4
    weight = torch.rand(2, 5, 3, generator=generator, dtype=dtype)
    return logits, labels, transition, mask, weight


def _reference(logits, labels, transition, mask, weight, smoothing, ce_weight, ignore_index):
    """Pixel by pixel, from the formula, with plain probabilities."""
    classes = logits.shape[1]
    losses = []
    for b, y, x in np.ndindex(*labels.shape):
        if labels[b, y, x] == ignore_index:
            losses.append(logits.new_zeros(()))
            continue
        matrix = transition if mask[b, y, x] else torch.eye(classes, dtype=logits.dtype)
        noisy = torch.softmax(logits[b, :, y, x], dim=0) @ matrix
        ce = -torch.log(noisy[labels[b, y, x]])
        smooth = (1 - smoothing) * ce + smoothing * (-torch.log(noisy)).mean()
        losses.append(weight[b, y, x] * (ce_weight * ce + (1 - ce_weight) * smooth))
    return torch.stack(losses).view(labels.shape)


@pytest.mark.parametrize(('smoothing', 'ce_weight'), [(0.0, 1.0), (0.02, 0.8), (0.3, 0.0)])
@pytest.mark.parametrize('reduction', ['mean', 'valid_mean', 'sum', 'none'])
def test_value_and_gradient_equal_the_formula(smoothing, ce_weight, reduction):
    logits, labels, transition, mask, weight = _batch()
    leaves = [tensor.requires_grad_() for tensor in (logits, transition)]
    ours = forward_corrected_cross_entropy(
        logits,
        labels,
        transition,
        transition_mask=mask,
        weight=weight,
        label_smoothing=smoothing,
        ce_weight=ce_weight,
        reduction=reduction,
    )
    each = _reference(logits, labels, transition, mask, weight, smoothing, ce_weight, 255)
    divisor = {'mean': each.numel(), 'valid_mean': int((labels != 255).sum())}.get(reduction, 1)
    theirs = each if reduction == 'none' else each.sum() / divisor
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    cotangent = torch.rand(ours.shape, dtype=ours.dtype)
    for got, expected in zip(
        torch.autograd.grad(ours, leaves, cotangent), torch.autograd.grad(theirs, leaves, cotangent), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
def test_gradcheck(smoothing):
    logits, labels, transition, mask, weight = _batch(classes=3)

    def loss(logits, transition, weight):
        return forward_corrected_cross_entropy(
            logits,
            labels % 3,
            transition,
            transition_mask=mask,
            weight=weight,
            label_smoothing=smoothing,
            ce_weight=0.5,
        )

    leaves = [tensor.requires_grad_() for tensor in (logits, transition, weight)]
    assert torch.autograd.gradcheck(loss, leaves)


@settings(max_examples=25, deadline=None)
@given(
    classes=st.integers(2, 7),
    scale=st.floats(0.01, 30),
    seed=st.integers(0, 10_000),
    smoothing=st.sampled_from([0.0, 0.1]),
)
def test_identity_is_cross_entropy(classes, scale, seed, smoothing):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(2, classes, 4, 4, generator=generator)).requires_grad_()
    labels = torch.randint(classes, (2, 4, 4), generator=generator)
    labels[1, 2] = 255
    expected = (
        F.cross_entropy(logits, labels, ignore_index=255, label_smoothing=smoothing, reduction='sum') / labels.numel()
    )
    for identity in (torch.eye(classes), None):
        ours = forward_corrected_cross_entropy(logits, labels, identity, label_smoothing=smoothing, ce_weight=0.0)
        torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-6)
        (got,) = torch.autograd.grad(ours, logits)
        (wanted,) = torch.autograd.grad(expected, logits, retain_graph=True)
        torch.testing.assert_close(got, wanted, rtol=1e-6, atol=1e-6)


def test_perfect_prediction_under_identity_costs_nothing():
    labels = torch.tensor([[[0, 1], [2, 3]]])
    logits = 100 * F.one_hot(labels, 4).permute(0, 3, 1, 2).float()
    assert forward_corrected_cross_entropy(logits, labels, torch.eye(4)) < 1e-6


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize(
    'rows',
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        [[0.5, 0.5, 0], [0, 1, 0], [0.1, 0.2, 0.7]],
        [[1, 0, 0], [1, 0, 0], [1, 0, 0]],  # classes 1 and 2 are never a label
    ],
)
def test_extreme_logits_and_exact_zeros_stay_finite(rows, smoothing):
    generator = torch.Generator().manual_seed(0)
    logits = 1e4 * (2 * torch.randint(2, (2, 3, 4, 4), generator=generator).float() - 1)
    logits.requires_grad_()
    labels = torch.randint(3, (2, 4, 4), generator=generator)
    transition = torch.tensor(rows, dtype=torch.float32).requires_grad_()
    loss = forward_corrected_cross_entropy(logits, labels, transition, label_smoothing=smoothing, ce_weight=0.0)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    assert transition.grad.isfinite().all()


def test_extreme_logits_under_identity_keep_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = (1e4 * torch.randn(2, 3, 4, 4, generator=generator)).requires_grad_()
    labels = torch.randint(3, (2, 4, 4), generator=generator)
    ours = forward_corrected_cross_entropy(logits, labels, torch.eye(3))
    expected = F.cross_entropy(logits, labels)
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(loss, logits)[0] for loss in (ours, expected)))


def test_a_zero_of_the_matrix_gets_its_true_gradient():
    """-dL/dT_ij = p_i / q_j, also where T_ij = 0; plain autograd through log T would give 0 there."""
    logits = torch.tensor([0.3, -0.2], dtype=torch.float64).view(1, 2, 1, 1)
    transition = torch.eye(2, dtype=torch.float64, requires_grad=True)
    forward_corrected_cross_entropy(logits, torch.tensor([[[1]]]), transition).backward()
    probs = logits.flatten().softmax(dim=0)
    expected = torch.tensor([[0, -probs[0] / probs[1]], [0, -1]], dtype=torch.float64)
    torch.testing.assert_close(transition.grad, expected)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_autocast_computes_in_float32(dtype):
    logits, labels, transition, mask, weight = (
        tensor.float() if tensor.is_floating_point() else tensor for tensor in _batch()
    )
    logits = logits.to(dtype)
    arguments = {'transition_mask': mask, 'weight': weight, 'label_smoothing': 0.1, 'ce_weight': 0.5}
    expected = forward_corrected_cross_entropy(logits.float(), labels, transition, **arguments)
    with torch.autocast('cpu', torch.bfloat16):
        ours = forward_corrected_cross_entropy(logits, labels, transition, **arguments)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def test_mask_false_everywhere_is_plain_cross_entropy_without_gradient_to_t():
    logits, labels, transition, _, _ = _batch()
    transition.requires_grad_()
    nowhere = torch.zeros_like(labels, dtype=torch.bool)
    loss = forward_corrected_cross_entropy(logits, labels, transition, transition_mask=nowhere)
    loss.backward()
    expected = F.cross_entropy(logits, labels, ignore_index=255, reduction='sum') / labels.numel()
    torch.testing.assert_close(loss, expected)
    assert not transition.grad.any()


@pytest.mark.parametrize('reduction', ['mean', 'valid_mean', 'sum'])
def test_everything_ignored_is_zero_with_zero_gradient(reduction):
    logits, labels, transition, _, _ = _batch()
    logits.requires_grad_()
    everywhere = torch.full_like(labels, 255)
    loss = forward_corrected_cross_entropy(logits, everywhere, transition, reduction=reduction)
    loss.backward()
    assert loss == 0
    assert not logits.grad.any()


def test_ignored_value_may_be_a_class_or_none():
    logits, labels, transition, _, _ = _batch()
    labels = labels.clamp_max(3)
    ours = forward_corrected_cross_entropy(logits, labels, transition, ignore_index=2, reduction='none')
    assert not ours[labels == 2].any()
    unignored = forward_corrected_cross_entropy(logits, labels, transition, ignore_index=None, reduction='none')
    assert (unignored > 0).all()
    torch.testing.assert_close(unignored[labels != 2], ours[labels != 2])


@pytest.mark.parametrize('bad', [4, -1])
def test_label_outside_the_classes_is_an_index_error(bad):
    logits, labels, transition, _, _ = _batch()
    labels[1, 1, 1] = bad
    with pytest.raises(IndexError, match='4 classes'):
        forward_corrected_cross_entropy(logits, labels, transition)


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ({'reduction': 'average'}, 'reduction'),
        ({'label_smoothing': 1.5}, 'label_smoothing'),
        ({'ce_weight': -0.1}, 'ce_weight'),
        ({'weight': torch.ones(2, 5)}, 'weight'),
        ({'transition_mask': torch.ones(2, 1, 5, 3)}, 'transition_mask'),
        ({'transition': torch.eye(3)}, 'transition'),
        ({'labels': torch.zeros(2, 5, 4).long()}, 'labels'),
    ],
)
def test_wrong_arguments_are_named(change, match):
    logits, labels, transition, _, _ = _batch()
    arguments = {'logits': logits, 'labels': labels, 'transition': transition, **change}
    with pytest.raises(ValueError, match=match):
        forward_corrected_cross_entropy(**arguments)


def _random_transition(classes, diagonal, seed, dtype=torch.float64):
    generator = np.random.default_rng(seed)
    rows = generator.dirichlet(np.ones(classes), classes)
    return torch.tensor(diagonal * np.eye(classes) + (1 - diagonal) * rows, dtype=dtype)


@pytest.mark.parametrize('classes', [2, 6, 19])
def test_log_volume_is_the_log_determinant(classes):
    transition = _random_transition(classes, 0.4, classes).requires_grad_()
    expected = math.log(abs(np.linalg.det(transition.detach().numpy())))
    assert log_volume(transition).item() == pytest.approx(expected, abs=1e-10)
    assert torch.autograd.gradcheck(log_volume, transition)
    (gradient,) = torch.autograd.grad(log_volume(transition), transition)
    torch.testing.assert_close(gradient, torch.linalg.inv(transition.detach()).t())


@pytest.mark.parametrize('shape', [(4, 3), (3, 4)])
def test_log_volume_of_a_rectangle(shape):
    matrix = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    singular = np.linalg.svd(matrix.numpy(), compute_uv=False)
    assert log_volume(matrix).item() == pytest.approx(np.log(singular).sum(), abs=1e-10)
    assert torch.autograd.gradcheck(log_volume, matrix.requires_grad_())


@pytest.mark.parametrize('shape', [(4, 4), (4, 3), (3, 4)])
def test_log_volume_with_a_ridge(shape):
    matrix = torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    singular = np.linalg.svd(matrix.numpy(), compute_uv=False)
    assert log_volume(matrix, ridge=0.1).item() == pytest.approx(0.5 * np.log(singular**2 + 0.1).sum(), abs=1e-10)
    assert torch.autograd.gradcheck(partial(log_volume, ridge=0.1), matrix.requires_grad_())


def test_a_ridge_bounds_the_pull_of_singular_matrices():
    for distance in (1e-1, 1e-2, 1e-3, 1e-5, 0.0):
        matrix = (torch.full((3, 3), 1 / 3) + distance * torch.eye(3)).requires_grad_()
        (bounded,) = torch.autograd.grad(log_volume(matrix, ridge=0.04), matrix)
        assert torch.linalg.matrix_norm(bounded, 2) <= 1 / (2 * 0.04**0.5) + 1e-4  # of s / (s^2 + r), at s^2 = r
    (steep,) = torch.autograd.grad(log_volume(matrix + 1e-3 * torch.eye(3)), matrix)
    assert torch.linalg.matrix_norm(steep, 2) > 900


@pytest.mark.parametrize(
    'matrix',
    [
        torch.full((3, 3), 1 / 3),
        torch.full((150, 150), 1 / 150),
        torch.tensor([[1.0, 0], [1, 0]]),
        torch.tensor([[0.5, 0.5, 0], [0.2, 0.3, 0.5], [0.35, 0.4, 0.25]]),
        torch.zeros(2, 2),
        torch.full((4, 2), 0.5),
    ],
)
@pytest.mark.parametrize('amp', [False, True])
def test_log_volume_of_a_singular_matrix_is_finite_without_gradient(matrix, amp):
    matrix = matrix.clone().requires_grad_()
    with torch.autocast('cpu', torch.bfloat16, enabled=amp):
        volume = log_volume(matrix)
    volume.backward()
    assert volume.isfinite()
    assert volume < log_volume(torch.eye(len(matrix)) * 0.99 + 0.01 / len(matrix))
    assert volume.dtype == torch.float32
    assert not matrix.grad.any()


def test_log_volume_of_a_nearly_singular_matrix_keeps_its_gradient():
    matrix = torch.full((6, 6), 0.1662).fill_diagonal_(0.169).requires_grad_()
    volume = log_volume(matrix)
    volume.backward()
    assert volume.item() == pytest.approx(torch.linalg.slogdet(matrix.detach().double())[1].item(), rel=1e-3)
    assert matrix.grad.isfinite().all()
    assert matrix.grad.any()


def _reference_distance(rows, i):
    """Squared distance of row i to the hull of the others by SLSQP from several starts."""
    others = np.delete(rows, i, axis=0)
    count = len(others)
    best = math.inf
    for start in [np.full(count, 1 / count), *np.eye(count)]:
        solved = minimize(
            lambda w: np.sum((w @ others - rows[i]) ** 2),
            start,
            jac=lambda w: 2 * others @ (w @ others - rows[i]),
            bounds=[(0, 1)] * count,
            constraints={'type': 'eq', 'fun': lambda w: w.sum() - 1},
            options={'ftol': 1e-14, 'maxiter': 500},
        )
        best = min(best, solved.fun)
    return best


@pytest.mark.parametrize('classes', [2, 3, 6])
@pytest.mark.parametrize('diagonal', [0.0, 0.3, 0.9])
def test_convexity_weights_are_the_optimum(classes, diagonal):
    transition = _random_transition(classes, diagonal, seed=classes)
    weights = convexity_weights(transition)
    assert not weights.diagonal().any()
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(classes, dtype=torch.float64))
    reached = (weights @ transition - transition).square().sum(dim=1).numpy()
    expected = [_reference_distance(transition.numpy(), i) for i in range(classes)]
    np.testing.assert_allclose(reached, expected, atol=1e-9)
    assert convexity_distance(transition).item() == pytest.approx(sum(expected), abs=1e-8)


def test_convexity_of_known_matrices():
    classes = 5
    # distance of a unit vector to the hull of the other four: 1 + 1/4
    assert convexity_distance(torch.eye(classes)).item() == pytest.approx(classes * 1.25)
    assert convexity_distance(torch.full((3, 3), 1 / 3)).item() == pytest.approx(0, abs=1e-12)
    middle = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.5, 0.5, 0]])
    assert (convexity_weights(middle)[2] - torch.tensor([0.5, 0.5, 0])).abs().max() < 1e-6


@pytest.mark.parametrize('diagonal', [0.0, 0.3, 0.9])
def test_convexity_gradient_is_that_of_the_minimum(diagonal):
    transition = _random_transition(4, diagonal, seed=3).requires_grad_()
    assert torch.autograd.gradcheck(convexity_distance, transition, eps=1e-6, atol=1e-5)


def test_convexity_under_autocast_and_large_k():
    transition = _random_transition(60, 0.2, seed=0, dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        distance = convexity_distance(transition)
    assert distance.dtype == torch.float32
    torch.testing.assert_close(distance, convexity_distance(transition.double()).float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('function', [convexity_distance, convexity_weights, log_volume])
def test_regularisers_refuse_other_shapes(function):
    with pytest.raises(ValueError, match='transition has shape'):
        function(torch.ones(3))


@pytest.mark.parametrize('reduction', ['mean', 'valid_mean', 'sum', 'none'])
def test_class_weights_are_pixel_weights_by_label(reduction):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    labels, weight = torch.randint(3, (2, 4, 5), generator=generator), torch.rand(2, 4, 5, generator=generator)
    labels[:, 0] = 255
    class_weight = torch.tensor([0.5, 2.0, 0.0], dtype=torch.float64)
    transition = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.3, 0.7]])
    settings = {'label_smoothing': 0.1, 'ce_weight': 0.5, 'reduction': reduction}
    ours = forward_corrected_cross_entropy(
        logits, labels, transition, weight=weight, class_weight=class_weight, **settings
    )
    by_pixel = weight * class_weight[labels.where(labels != 255, 0)]
    expected = forward_corrected_cross_entropy(logits, labels, transition, weight=by_pixel, **settings)
    torch.testing.assert_close(ours, expected)
    plain = forward_corrected_cross_entropy(logits, labels, None, class_weight=class_weight, reduction='none')
    theirs = torch.nn.functional.cross_entropy(logits, labels, class_weight, ignore_index=255, reduction='none')
    torch.testing.assert_close(plain, theirs)


def test_class_weights_of_another_number_are_refused():
    logits, labels = torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long)
    with pytest.raises(ValueError, match=r'class_weight has shape \(2,\): give one for each of 3'):
        forward_corrected_cross_entropy(logits, labels, None, class_weight=torch.ones(2))
