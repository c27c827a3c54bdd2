"""What holds for any input of the pure functions: finite values and gradients, probabilities, bounds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc_mmseg.functional import (
    consensus_counts,
    consensus_loss,
    convexity_distance,
    convexity_weights,
    estimate_transition_matrix,
    forward_corrected_cross_entropy,
    log_volume,
    pseudo_labels,
)

SCALES = st.sampled_from([0.0, 1e-6, 1.0, 50.0, 1e4])
KINDS = st.sampled_from(['soft', 'permutation', 'equal rows', 'one column', 'half zeros', 'nearly equal rows'])
PRECISIONS = st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.float16])
SEEDS = st.integers(0, 10_000)
CLASSES = st.integers(2, 7)
thorough = settings(max_examples=60, deadline=None)


def draw_matrix(kind: str, classes: int, generator: torch.Generator, precision: torch.dtype) -> torch.Tensor:
    """A row-stochastic matrix; all but the first kind are singular, hard or both."""
    rows = torch.rand(classes, classes, generator=generator).double() + 1e-3
    if kind == 'permutation':
        rows = torch.eye(classes)[torch.randperm(classes, generator=generator)].double()
    elif kind == 'equal rows':
        rows = rows[:1].repeat(classes, 1)
    elif kind == 'nearly equal rows':
        rows = rows[:1] + 1e-7 * rows
    elif kind == 'one column':
        rows = torch.zeros_like(rows)
        rows[:, 0] = 1
    elif kind == 'half zeros':
        rows = rows * (rows > 0.5) + torch.eye(classes)
    return (rows / rows.sum(dim=1, keepdim=True)).to(precision)


def finite_gradients(value: torch.Tensor, *leaves: torch.Tensor) -> bool:
    gradients = torch.autograd.grad(value, leaves, allow_unused=True)
    return all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)


@thorough
@given(
    classes=CLASSES, scale=SCALES, kind=KINDS, precision=PRECISIONS, seed=SEEDS,
    ignored=st.sampled_from([0.0, 0.3, 1.0]), smoothing=st.sampled_from([0.0, 0.1]),
    reduction=st.sampled_from(['mean', 'valid_mean', 'sum', 'none']),
)  # fmt: skip
def test_corrected_loss_is_finite_and_not_negative(
    classes, scale, kind, precision, seed, ignored, smoothing, reduction
):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(2, classes, 3, 4, generator=generator)).clamp(-1e4, 1e4).to(precision)
    labels = torch.randint(classes, (2, 3, 4), generator=generator)
    labels[torch.rand(2, 3, 4, generator=generator) < ignored] = 255
    transition = draw_matrix(kind, classes, generator, torch.promote_types(precision, torch.float32))
    leaves = (logits.requires_grad_(), transition.requires_grad_())
    loss = forward_corrected_cross_entropy(
        *(logits, labels, transition),
        transition_mask=torch.rand(2, 3, 4, generator=generator) < 0.7,
        weight=torch.rand(2, 3, 4, generator=generator).round(decimals=1),
        label_smoothing=smoothing,
        ce_weight=0.5,
        reduction=reduction,
    )
    assert loss.dtype == torch.promote_types(precision, torch.float32)
    assert loss.isfinite().all()
    assert loss.ge(-1e-6).all()
    assert finite_gradients(loss.sum(), *leaves)
    if ignored == 1:
        assert loss.eq(0).all()


@thorough
@given(classes=CLASSES, kind=KINDS, seed=SEEDS, precision=st.sampled_from([torch.float32, torch.float64]))
def test_regularisers_are_finite_and_bounded(classes, kind, seed, precision):
    transition = draw_matrix(kind, classes, torch.Generator().manual_seed(seed), precision).requires_grad_()
    volume, distance = log_volume(transition), convexity_distance(transition)
    assert volume.isfinite()
    assert volume <= 1e-5
    assert distance.isfinite()
    assert -1e-12 <= distance <= 2 * classes  # no two points of the simplex are further apart than sqrt(2)
    assert finite_gradients(volume, transition)
    assert finite_gradients(distance, transition)
    weights = convexity_weights(transition)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(classes, dtype=weights.dtype))
    assert weights.ge(0).all()
    assert weights.diagonal().eq(0).all()


@thorough
@given(
    classes=CLASSES, scale=SCALES, precision=PRECISIONS, threshold=st.floats(0, 1), per_image=st.booleans(), seed=SEEDS
)
def test_pseudo_labels_are_classes_with_weights_from_0_to_1(classes, scale, precision, threshold, per_image, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = (scale * torch.randn(2, classes, 4, 5, generator=generator)).clamp(-1e4, 1e4).to(precision)
    pseudo = pseudo_labels(logits, threshold=threshold, per_image=per_image)
    assert pseudo.labels.ge(0).all()
    assert pseudo.labels.lt(classes).all()
    assert pseudo.confidence.ge(1 / classes - 1e-6).all()
    assert pseudo.confidence.le(1 + 1e-6).all()
    sure = (pseudo.confidence >= threshold).to(pseudo.weight.dtype).mean(dim=(1, 2) if per_image else (0, 1, 2))
    torch.testing.assert_close(pseudo.weight, sure.view(-1, 1, 1).expand_as(pseudo.weight))


@thorough
@given(
    classes=CLASSES, points=st.integers(3, 40), kind=KINDS, seed=SEEDS,
    seen=st.integers(1, 7), certain=st.booleans(),
)  # fmt: skip
def test_consensus_loss_is_finite_whatever_was_counted(classes, points, kind, seed, seen, certain):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(min(seen, classes), (points,), generator=generator)
    counts = consensus_counts(labels, torch.randint(points, (points, 2), generator=generator), classes)
    transition = draw_matrix(kind, classes, generator, torch.float32).requires_grad_()
    prior = torch.eye(classes)[0] if certain else torch.full((classes,), 1 / classes)
    loss = consensus_loss(counts, transition, prior.requires_grad_())
    assert loss.isfinite()
    assert loss >= 0
    assert finite_gradients(loss, transition, prior)


@settings(max_examples=15, deadline=None)
@given(
    classes=CLASSES, points=st.integers(1, 40), seed=SEEDS,
    features=st.sampled_from(['noise', 'constant', 'zero', 'huge', 'label']), seen=st.integers(1, 7),
)  # fmt: skip
@pytest.mark.filterwarnings('ignore')
def test_estimates_are_probabilities(classes, points, seed, features, seen):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(min(seen, classes), (points,), generator=generator)
    vectors = {
        'noise': torch.randn(points, 4, generator=generator),
        'constant': torch.ones(points, 4),
        'zero': torch.zeros(points, 4),
        'huge': 1e30 * torch.randn(points, 4, generator=generator),
        'label': torch.eye(classes)[labels],
    }[features]
    estimate = estimate_transition_matrix(vectors, labels, classes)
    for rows in (estimate.transition, estimate.prior.unsqueeze(0)):
        assert rows.ge(0).all()
        torch.testing.assert_close(rows.sum(dim=1), torch.ones(len(rows), dtype=rows.dtype))
