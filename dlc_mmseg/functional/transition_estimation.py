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
    consensus_counts,
    consensus_estimate,
    consensus_loss,
    nearest_neighbours,
)
from dlc_mmseg.functional.neighbour_likelihood import fit_neighbour_labels


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

    Example:
        >>> print(initial_logits(3, diagonal=0.9).softmax(dim=1)[0])
        tensor([0.9000, 0.0500, 0.0500])
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
    prior_strength: float = 2.0,
    num_neighbours: int = 20,
    max_iterations: int = 1000,
    tolerance: float = 1e-7,
    learning_rate: float = 0.1,
    steps: int = 1500,
    chunk_size: int = 1024,
) -> TransitionEstimate:
    """Estimate T and the class prior without any true label.

    Points and their nearest neighbours (cosine similarity) are taken to share one true label. 'likelihood'
    maximises the likelihood of the label patterns of points and neighbours by EM, and allows for neighbourhoods at
    the border of two classes (`dlc_mmseg.functional.neighbour_likelihood.fit_neighbour_labels`). 'consensus' is the
    published recipe: two neighbours, Adam on the sum of the three L2 norms, the best loss kept (HOC, Zhu et al., ICML
    2021); its third order costs K^4 a step. Both start at a diagonal of 0.967, so that classes keep their order.
    Deterministic for a seed.

    Classes that no label names cannot be told from absent ones: they get prior 0 and their rows stay at the
    start. One class only, features without any difference, or fewer than three points return the start and the
    labels' shares, with one warning.

    Args:
        features: (N, D), finite; need not be normalised.
        labels: Noisy labels (N,), integers in 0..K-1.
        num_classes: K >= 2.
        num_points: At most this many points, drawn without replacement, are used.
        seed: Seed of that draw and of the start of the consensus solver.
        estimator: 'likelihood' or 'consensus'.
        prior_transition: Belief about T, (K, K), rows sum to 1; replaces the start. None believes in equal noise
            of all classes, as much of it as the data show on average.
        prior_strength: How many points of each class that belief is worth, >= 0; 0 is maximum likelihood
            ('likelihood' only).
        num_neighbours: Neighbours whose labels are used at most, >= 2 ('likelihood' only).
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
    if estimator not in ('likelihood', 'consensus'):
        raise ValueError(f"estimator is {estimator!r}: choose 'likelihood' or 'consensus'")
    if num_points < 3 or num_neighbours < 2 or prior_strength < 0:
        raise ValueError(
            f'num_points {num_points}, num_neighbours {num_neighbours}, prior_strength {prior_strength}: '
            'choose at least 3, 2 and 0'
        )
    start = _start(prior_transition, num_classes).to(points.device)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(points), generator=generator)[:num_points].to(points.device)
    unit = F.normalize(points[drawn].to(torch.promote_types(points.dtype, torch.float32)), dim=1)
    noisy = noisy[drawn]
    present = torch.bincount(noisy, minlength=num_classes)
    problem = lack_of_evidence(unit, present)
    if problem:
        warnings.warn(f'{problem}: the transition matrix stays at its start', stacklevel=2)
        return TransitionEstimate(start.float(), _shares(present), 0.0)
    reach = 2 if estimator == 'consensus' else min(num_neighbours, len(unit) - 1)
    neighbours = nearest_neighbours(unit, num_neighbours=reach, chunk_size=chunk_size)
    counts = consensus_counts(noisy, neighbours[:, :2], num_classes)
    if estimator == 'consensus':
        fit = consensus_estimate(
            counts, start, present > 0, learning_rate=learning_rate, steps=steps, generator=generator
        )
    else:
        fit = fit_neighbour_labels(
            noisy,
            neighbours,
            start,
            belief=None if prior_transition is None else start,
            strength=prior_strength,
            max_iterations=max_iterations,
            tolerance=tolerance,
        )
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


def lack_of_evidence(unit: Tensor, present: Tensor) -> str:
    """Why a point set says nothing about T.

    Args:
        unit: Features of length 1, (N, D).
        present: How many points have each label, (K,).

    Returns:
        The reason, or an empty string.
    """
    if len(unit) < 3:
        return f'{len(unit)} points cannot have two neighbours each'
    if int((present > 0).sum()) < 2:
        return f'all {len(unit)} labels are of one class'
    if bool(((unit - unit[0]).abs() < 1e-6).all()):
        return f'the features of all {len(unit)} points have one direction'
    return ''


def _shares(present: Tensor) -> Tensor:
    total = present.sum()
    return torch.where(total > 0, present / total.clamp_min(1), 1 / len(present)).float()
