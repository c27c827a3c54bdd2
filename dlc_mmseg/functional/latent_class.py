"""Likelihood of noisy label patterns under a latent class, and its maximum by EM.

Every pattern holds V noisy labels of one point and its neighbours: conditionally independent views of one
hidden true label that share one confusion matrix (Dawid and Skene, 1979), ``T[i, j] = P(pseudo-label = j |
true label = i)``, rows sum to 1. With V = 3 this is the model of the third-order consensus of HOC (Zhu et al.,
ICML 2021), fitted by likelihood instead of by least squares: no learning rate, and each pattern counts by its
information.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class LabelPatterns(NamedTuple):
    """Distinct unordered label patterns.

    Attributes:
        labels: (U, V) long, ascending within a row.
        weights: (U,) float64, how often each was seen.
    """

    labels: Tensor
    weights: Tensor


class LatentClassFit(NamedTuple):
    """Result of `likelihood_estimate`.

    Attributes:
        transition: T of shape (K, K), float64, ``T[i, j] = P(pseudo-label = j | true label = i)``.
        prior: P(true label), (K,), float64.
    """

    transition: Tensor
    prior: Tensor


def label_patterns(labels: Tensor, neighbours: Tensor, num_classes: int) -> LabelPatterns:
    """Distinct patterns of each point's label and its neighbours', without regard to order.

    Args:
        labels: Noisy labels (N,), integers in 0..K-1.
        neighbours: Indices (N, V - 1).
        num_classes: K; K^V must be below 2^63.

    Returns:
        The U <= N distinct patterns and their counts.
    """
    own = labels.long()
    views = torch.cat([own.unsqueeze(1), own[neighbours]], dim=1).sort(dim=1).values
    places = num_classes ** torch.arange(views.shape[1], device=views.device)
    codes, counts = (views * places).sum(dim=1).unique(return_counts=True)
    return LabelPatterns(codes.unsqueeze(1) // places % num_classes, counts.double())


@torch.no_grad()
def likelihood_estimate(
    patterns: Tensor,
    weights: Tensor,
    transition_init: Tensor,
    prior_init: Tensor,
    *,
    prior_counts: Tensor | None = None,
    max_iterations: int = 1000,
    tolerance: float = 1e-7,
) -> LatentClassFit:
    """Maximise the (penalised) likelihood of label patterns over T and the prior by EM.

    Deterministic, float64, without learning rate; memory U x K. EM cannot exchange classes by itself, so that a
    diagonally dominant start keeps the classes in order. A class that starts with prior 0 stays out: its row
    keeps its start, or follows ``prior_counts``.

    Args:
        patterns: (U, V) labels in 0..K-1 as from `label_patterns`.
        weights: (U,) count of each pattern.
        transition_init: T to start from, (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``.
        prior_init: P(true label) to start from, (K,).
        prior_counts: (K, K) pseudo-counts of labels added to each row of T (maximum a posteriori under a
            Dirichlet prior); a point adds V counts. None is maximum likelihood.
        max_iterations: Limit of EM steps.
        tolerance: Steps end when the objective per pattern changes by less than this share of itself, looked
            at every eighth step; 0 takes exactly ``max_iterations`` steps and never waits for the device.

    Returns:
        T and prior, float64.

    Raises:
        ValueError: If shapes do not fit or an argument is negative.
    """
    classes = len(prior_init)
    if patterns.dim() != 2 or weights.shape != patterns.shape[:1] or transition_init.shape != (classes, classes):
        raise ValueError(
            f'patterns {tuple(patterns.shape)}, weights {tuple(weights.shape)}, transition_init '
            f'{tuple(transition_init.shape)}, prior_init {tuple(prior_init.shape)}: pass (U, V), (U,), (K, K), (K,)'
        )
    if max_iterations < 0 or tolerance < 0:
        raise ValueError(f'max_iterations {max_iterations} and tolerance {tolerance} must not be negative')
    fit = LatentClassFit(transition_init.double(), prior_init.double())
    weights = weights.double()
    contents = torch.zeros(len(patterns), classes, dtype=torch.float64, device=patterns.device)
    contents.scatter_add_(1, patterns, torch.ones_like(patterns, dtype=torch.float64))
    extra = torch.zeros_like(fit.transition) if prior_counts is None else prior_counts.to(fit.transition)
    previous: float | None = None
    for iteration in range(max_iterations):
        fit, objective = _em_step(patterns, contents, weights, fit, extra)
        if tolerance > 0 and iteration % 8 == 0:
            current = float(objective)
            if previous is not None and abs(current - previous) <= 8 * tolerance * abs(current):
                break
            previous = current
    return fit


def _em_step(
    patterns: Tensor, contents: Tensor, weights: Tensor, fit: LatentClassFit, extra: Tensor
) -> tuple[LatentClassFit, Tensor]:
    """One EM step and the objective per pattern before it; ``contents`` (U, K) counts a pattern's labels."""
    tiny = torch.finfo(torch.float64).tiny
    views = fit.transition.t()
    joint = fit.prior.expand(len(patterns), -1).clone()
    for view in patterns.unbind(dim=1):
        joint *= views[view]
    evidence = joint.sum(dim=1, keepdim=True).clamp_min(tiny)
    shares = joint / evidence * weights.unsqueeze(1)
    counts = shares.t() @ contents + extra
    totals = counts.sum(dim=1, keepdim=True)
    transition = torch.where(totals > tiny, counts / totals.clamp_min(tiny), fit.transition)
    penalty = (extra * fit.transition.clamp_min(tiny).log()).sum()
    objective = ((weights * evidence.squeeze(1).log()).sum() + penalty) / weights.sum()
    return LatentClassFit(transition, shares.sum(dim=0) / weights.sum()), objective
