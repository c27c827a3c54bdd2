"""Estimate the noise transition matrix of a point set from its features and noisy labels."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dlc_mmseg.functional.consensus import (
    ConsensusCounts,
    consensus_counts,
    consensus_loss,
    nearest_neighbours,
)
from dlc_mmseg.functional.latent_class import LabelPatterns, label_patterns, likelihood_estimate


class TransitionEstimate(NamedTuple):
    """Estimated noise of a point set.

    Attributes:
        transition: T of shape (K, K), float32, ``T[i, j] = P(pseudo-label = j | true label = i)``.
        prior: P(true label), (K,), float32, sums to 1.
        residual: Consensus loss at the estimate, >= 0; 0 where there was nothing to count.
    """

    transition: Tensor
    prior: Tensor
    residual: float


def initial_logits(num_classes: int, *, diagonal: float = 0.967) -> Tensor:
    """Logits whose row softmax has a given diagonal and equal shares elsewhere.

    Args:
        num_classes: K >= 2.
        diagonal: T[i, i], in (0, 1).

    Returns:
        (K, K) float32: ``log(diagonal (K - 1) / (1 - diagonal))`` on the diagonal, 0 elsewhere.

    Raises:
        ValueError: If an argument is out of range.
    """
    if num_classes < 2 or not 0 < diagonal < 1:
        raise ValueError(f'num_classes {num_classes}, diagonal {diagonal}: choose K >= 2 and a share in (0, 1)')
    return torch.eye(num_classes) * math.log(diagonal * (num_classes - 1) / (1 - diagonal))


def estimate_transition_matrix(
    features: Tensor | NDArray[Any],
    labels: Tensor | NDArray[Any],
    num_classes: int,
    *,
    num_points: int = 15000,
    seed: int = 0,
    estimator: Literal['likelihood', 'consensus'] = 'likelihood',
    prior_transition: Tensor | NDArray[Any] | None = None,
    prior_strength: float = 0.0,
    max_iterations: int = 1000,
    tolerance: float = 1e-7,
    learning_rate: float = 0.1,
    steps: int = 1500,
    chunk_size: int = 1024,
) -> TransitionEstimate:
    """Estimate T and the class prior without any true label.

    Points and their two nearest neighbours (cosine similarity) are taken to share one true label. 'likelihood'
    maximises the multinomial likelihood of their unordered label triples by EM (see
    `dlc_mmseg.functional.latent_class`); 'consensus' is the published recipe, Adam on the sum of the three L2
    norms with the best loss kept (HOC, Zhu et al., ICML 2021), whose third order costs K^4 a step. Both start at
    a diagonal of 0.967, so that classes keep their order. Deterministic for a seed.

    Classes that no label names cannot be told from absent ones: they get prior 0 and their rows stay at the start.
    One class only, features without any difference, or fewer than three points return the start and the labels'
    shares, with one warning.

    Args:
        features: (N, D), finite; need not be normalised.
        labels: Noisy labels (N,), integers in 0..K-1.
        num_classes: K >= 2.
        num_points: At most this many points, drawn without replacement, are used.
        seed: Seed of that draw and of the start of the consensus solver.
        estimator: 'likelihood' or 'consensus'.
        prior_transition: Belief about T, (K, K), rows sum to 1; replaces the start.
        prior_strength: How many points of each class that belief is worth, >= 0 ('likelihood' only).
        max_iterations: Limit of EM steps.
        tolerance: EM ends when the log-likelihood changes by less than this share of itself per step.
        learning_rate: Adam's rate of 'consensus'.
        steps: Adam's steps of 'consensus'.
        chunk_size: Points compared with all others at a time; bounds the memory to ``chunk_size * num_points``.

    Returns:
        T, prior and residual, on the device of ``features``.

    Raises:
        ValueError: If shapes, ranges or names are wrong, or features are not finite.
    """
    points, noisy = torch.as_tensor(features).detach(), torch.as_tensor(labels)
    noisy = noisy.to(points.device).long()
    _check_points(points, noisy, num_classes)
    if estimator not in ('likelihood', 'consensus') or num_points < 3 or prior_strength < 0:
        raise ValueError(
            f'estimator {estimator!r}, num_points {num_points}, prior_strength {prior_strength}: '
            "choose 'likelihood' or 'consensus', at least 3 points and a strength >= 0"
        )
    start = _start(prior_transition, num_classes).to(points.device)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(points), generator=generator)[:num_points].to(points.device)
    points, noisy = points[drawn].to(torch.promote_types(points.dtype, torch.float32)), noisy[drawn]
    present = torch.bincount(noisy, minlength=num_classes)
    problem = _problem(points, present)
    if problem:
        warnings.warn(f'{problem}: the transition matrix stays at its start', stacklevel=2)
        return TransitionEstimate(start.float(), _shares(present), 0.0)
    neighbours = nearest_neighbours(points, chunk_size=chunk_size)
    counts = consensus_counts(noisy, neighbours, num_classes)
    if estimator == 'consensus':
        with torch.enable_grad():
            fit = _descend(counts, start, present > 0, learning_rate, steps, generator)
    else:
        patterns = label_patterns(noisy, neighbours, num_classes)
        fit = _maximise_likelihood(patterns, start, present > 0, prior_strength, max_iterations, tolerance)
    transition, prior = fit[0].float(), fit[1].float()
    return TransitionEstimate(transition, prior, float(consensus_loss(counts, transition, prior)))


def _check_points(points: Tensor, noisy: Tensor, num_classes: int) -> None:
    if points.dim() != 2 or noisy.shape != points.shape[:1]:
        raise ValueError(f'features {tuple(points.shape)} and labels {tuple(noisy.shape)}: pass (N, D) and (N,)')
    if num_classes < 2:
        raise ValueError(f'num_classes is {num_classes}: a transition matrix needs 2 or more')
    if len(noisy) and not 0 <= int(noisy.min()) <= int(noisy.max()) < num_classes:
        raise ValueError(
            f'labels reach from {int(noisy.min())} to {int(noisy.max())}: drop ignored points, '
            f'and number classes 0..{num_classes - 1}'
        )
    if not bool(points.isfinite().all()):
        raise ValueError('features hold NaN or infinity: drop such points')


def _start(belief: Tensor | NDArray[Any] | None, num_classes: int) -> Tensor:
    if belief is None:
        return initial_logits(num_classes).double().softmax(dim=1)
    start = torch.as_tensor(belief).detach().double()
    if start.shape != (num_classes, num_classes) or bool((start < 0).any()):
        raise ValueError(f'prior_transition {tuple(start.shape)}: pass {num_classes} x {num_classes} numbers >= 0')
    if not bool(((start.sum(dim=1) - 1).abs() < 1e-3).all()):
        raise ValueError('rows of prior_transition must sum to 1: row i is P(pseudo-label | true label = i)')
    return start / start.sum(dim=1, keepdim=True)


def _problem(points: Tensor, present: Tensor) -> str:
    """Why a point set says nothing about T, or an empty string."""
    if len(points) < 3:
        return f'{len(points)} points cannot have two neighbours each'
    if int((present > 0).sum()) < 2:
        return f'all {len(points)} labels are of one class'
    unit = F.normalize(points, dim=1)
    if bool(((unit - unit[0]).abs() < 1e-6).all()):
        return f'the features of all {len(points)} points have one direction'
    return ''


def _shares(present: Tensor) -> Tensor:
    total = present.sum()
    return torch.where(total > 0, present / total.clamp_min(1), 1 / len(present)).float()


def _maximise_likelihood(
    patterns: LabelPatterns,
    start: Tensor,
    seen: Tensor,
    strength: float,
    max_iterations: int,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """EM from the start; entries that the start excludes are lifted off zero, which EM could not leave."""
    lifted = torch.where(seen.unsqueeze(1), start.lerp(torch.full_like(start, 1 / len(start)), 1e-3), start)
    believed = start * strength * patterns.labels.shape[1] if strength else None
    return likelihood_estimate(
        *patterns,
        lifted,
        seen / seen.sum(),
        prior_counts=believed,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )


def _descend(
    counts: ConsensusCounts,
    start: Tensor,
    seen: Tensor,
    learning_rate: float,
    steps: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Adam on free logits of T and prior; rows of classes not seen keep the start. Best loss kept."""
    size, fixed = len(start), start.float()
    noise = torch.rand(size, generator=generator).to(start.device)
    logits = fixed.clamp_min(1e-6).log().requires_grad_()
    prior_logits = (1 / size + 0.1 * noise).requires_grad_()
    optimizer = torch.optim.Adam([logits, prior_logits], lr=learning_rate)
    best = torch.full((), torch.inf, device=start.device)
    kept = (fixed, seen / seen.sum())
    for _ in range(steps):
        optimizer.zero_grad()
        transition = torch.where(seen.unsqueeze(1), logits.softmax(dim=1), fixed)
        prior = prior_logits.masked_fill(~seen, -torch.inf).softmax(dim=0)
        loss = consensus_loss(counts, transition, prior)
        better = loss.detach() < best
        best = torch.where(better, loss.detach(), best)
        kept = (torch.where(better, transition.detach(), kept[0]), torch.where(better, prior.detach(), kept[1]))
        loss.backward()
        optimizer.step()
    return kept
