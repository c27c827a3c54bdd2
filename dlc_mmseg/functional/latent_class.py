"""Likelihood of noisy label patterns under a latent class, and its maximum by EM.

Every pattern holds V noisy labels of one point and its neighbours: conditionally independent views of one
hidden true label that share one confusion matrix (Dawid and Skene, 1979), ``T[i, j] = P(pseudo-label = j |
true label = i)``, rows sum to 1. With V = 3 this is the model of the third-order consensus of HOC (Zhu et al.,
ICML 2021), fitted by likelihood instead of by least squares: no learning rate, and each pattern counts by its
information. More views than three tell classes apart better where noise is high.

Neighbourhoods at the border of two classes hold labels of both. `compositions` says which mixtures of classes a
pattern may come from: a pattern of composition c has labels drawn from ``sum_i compositions[c, i] T[i]``. Only pure
ones (the identity, the default) is the model above.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

_TINY = torch.finfo(torch.float64).tiny
_SMALL = 1e-30  # least divisor: quotients stay finite


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
        prior: Share of each composition, (C,), float64: P(true label), (K,), without compositions.
    """

    transition: Tensor
    prior: Tensor


def label_patterns(labels: Tensor, neighbours: Tensor, num_classes: int) -> LabelPatterns:
    """Distinct patterns of each point's label and its neighbours', without regard to order.

    Args:
        labels: Noisy labels (N,), integers in 0..K-1.
        neighbours: Indices (N, V - 1).
        num_classes: K.

    Returns:
        The U <= N distinct patterns and their counts.
    """
    own = labels.long()
    views = torch.cat([own.unsqueeze(1), own[neighbours]], dim=1)
    views = views.sort(dim=1).values
    if num_classes ** views.shape[1] >= 2**63:
        distinct, counts = torch.unique(views, dim=0, return_counts=True)
        return LabelPatterns(distinct, counts.double())
    places = num_classes ** torch.arange(views.shape[1] - 1, -1, -1, device=views.device)
    codes, counts = torch.unique((views * places).sum(dim=1), return_counts=True)  # faster than with dim=0
    return LabelPatterns(codes.unsqueeze(1) // places % num_classes, counts.double())


@torch.no_grad()
def likelihood_estimate(
    patterns: Tensor,
    weights: Tensor,
    transition_init: Tensor,
    prior_init: Tensor,
    *,
    compositions: Tensor | None = None,
    prior_counts: Tensor | None = None,
    max_iterations: int = 1000,
    tolerance: float = 1e-7,
) -> LatentClassFit:
    """Maximise the (penalised) likelihood of label patterns over T and the prior by EM.

    Deterministic, float64, without learning rate; memory U x C. EM cannot exchange classes by itself, so that a
    diagonally dominant start keeps the classes in order. A class that starts with prior 0 stays out: its row
    keeps its start, or follows ``prior_counts``.

    Args:
        patterns: (U, V) labels in 0..K-1 as from `label_patterns`.
        weights: (U,) count of each pattern.
        transition_init: T to start from, (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``.
        prior_init: Share of each composition to start from, (C,); P(true label), (K,), without compositions.
        compositions: (C, K) class shares of the neighbourhoods there may be, rows sum to 1; None is the identity.
        prior_counts: (K, K) pseudo-counts of labels added to each row of T (maximum a posteriori under a
            Dirichlet prior); a point adds V counts. None is maximum likelihood.
        max_iterations: Limit of EM steps.
        tolerance: Steps end when the objective changes by less than this share of itself, looked
            at every eighth step; 0 takes exactly ``max_iterations`` steps and never waits for the device.

    Returns:
        T and prior, float64.

    Raises:
        ValueError: If shapes do not fit or an argument is negative.
    """
    _check(patterns, weights, transition_init, prior_init, compositions)
    if max_iterations < 0 or tolerance < 0:
        raise ValueError(f'max_iterations {max_iterations} and tolerance {tolerance} must not be negative')
    fit = LatentClassFit(transition_init.double(), prior_init.double())
    weights, contents = weights.double(), _contents(patterns, len(transition_init))
    extra = torch.zeros_like(fit.transition) if prior_counts is None else prior_counts.to(fit.transition)
    previous: float | None = None
    for iteration in range(max_iterations):
        shares, evidence = _posterior(contents, fit, compositions)
        if tolerance > 0 and iteration % 8 == 0:
            penalty = (extra * fit.transition.clamp_min(_TINY).log()).sum()
            current = float((weights * evidence).sum() + penalty)
            if previous is not None and abs(current - previous) <= 8 * tolerance * abs(current):
                break
            previous = current
        fit = _maximise(shares * weights.unsqueeze(1), contents, extra, fit, compositions)
    return fit


def log_likelihood(
    patterns: Tensor,
    weights: Tensor,
    fit: LatentClassFit,
    *,
    compositions: Tensor | None = None,
    prior_counts: Tensor | None = None,
) -> Tensor:
    """What `likelihood_estimate` maximises, at a fit: weighted log P(pattern), plus the penalty; a scalar, float64.

    Args:
        patterns: (U, V), as the arguments that follow those of `likelihood_estimate`.
        weights: (U,).
        fit: T and prior.
        compositions: (C, K).
        prior_counts: (K, K).
    """
    evidence = _posterior(_contents(patterns, len(fit.transition)), fit, compositions)[1]
    penalty = 0.0 if prior_counts is None else (prior_counts * fit.transition.clamp_min(_TINY).log()).sum()
    return (weights.double() * evidence).sum() + penalty


def composition_posterior(patterns: Tensor, fit: LatentClassFit, *, compositions: Tensor | None = None) -> Tensor:
    """P(composition | pattern) of label patterns (U, V) under a fit, (U, C); P(true label | pattern) without any."""
    return _posterior(_contents(patterns, len(fit.transition)), fit, compositions)[0]


def own_label_step(
    patterns: Tensor,
    own: Tensor,
    fit: LatentClassFit,
    *,
    compositions: Tensor | None = None,
    prior_counts: Tensor | None = None,
) -> LatentClassFit:
    """T from every point's own label alone, its class taken from the whole pattern.

    A fit counts a label once for every pattern it belongs to, so that points which are neighbours of many
    weigh more; counted once each, the variance falls to that of counting with known classes where patterns
    are long enough to name the class.

    Args:
        patterns: (N, V) labels, one row per point.
        own: (N,) the points' own labels.
        fit: Result of `likelihood_estimate`.
        compositions: What the fit was given.
        prior_counts: (K, K) pseudo-counts added to each row of T; a point adds 1.

    Returns:
        T and prior, float64.
    """
    classes = len(fit.transition)
    shares = composition_posterior(patterns, fit, compositions=compositions)
    extra = torch.zeros_like(fit.transition) if prior_counts is None else prior_counts.to(fit.transition)
    return _maximise(shares, _contents(own.unsqueeze(1), classes), extra, fit, compositions)


def _check(patterns: Tensor, weights: Tensor, transition: Tensor, prior: Tensor, compositions: Tensor | None) -> None:
    classes = len(transition)
    shapes = {
        'patterns': (patterns, (len(patterns), patterns.shape[-1])),
        'weights': (weights, patterns.shape[:1]),
        'transition_init': (transition, (classes, classes)),
        'prior_init': (prior, (classes if compositions is None else len(compositions),)),
    }
    if compositions is not None:
        shapes['compositions'] = (compositions, (len(compositions), classes))
    if any(tensor.shape != shape for tensor, shape in shapes.values()):
        found = ', '.join(f'{name} {tuple(tensor.shape)}' for name, (tensor, _) in shapes.items())
        raise ValueError(f'{found}: pass (U, V), (U,), (K, K), (C,) and (C, K); C is K without compositions')


def _contents(patterns: Tensor, num_classes: int) -> Tensor:
    """How often each pattern holds each label, (U, K)."""
    contents = torch.zeros(len(patterns), num_classes, dtype=torch.float64, device=patterns.device)
    return contents.scatter_add_(1, patterns, torch.ones_like(patterns, dtype=torch.float64))


def _posterior(contents: Tensor, fit: LatentClassFit, compositions: Tensor | None) -> tuple[Tensor, Tensor]:
    """P(composition | pattern), (U, C), and log P(pattern), (U,)."""
    emission = fit.transition if compositions is None else compositions.to(fit.transition) @ fit.transition
    joint = contents @ emission.clamp_min(_TINY).log().t() + fit.prior.log()
    evidence = joint.logsumexp(dim=1)
    return (joint - evidence.unsqueeze(1)).exp(), evidence


def _maximise(
    shares: Tensor, contents: Tensor, extra: Tensor, fit: LatentClassFit, compositions: Tensor | None
) -> LatentClassFit:
    """M step; rows without any count keep their values."""
    counts = shares.t() @ contents
    if compositions is not None:  # labels seen in a mixture of two classes are divided among the two, by its shares
        mixing = compositions.to(counts)
        counts = fit.transition * (mixing.t() @ (counts / (mixing @ fit.transition).clamp_min(_SMALL)))
    counts = counts + extra
    totals = counts.sum(dim=1, keepdim=True)
    transition = torch.where(totals > _TINY, counts / totals.clamp_min(_TINY), fit.transition)
    mass = shares.sum(dim=0)
    prior = torch.where(mass.sum() > _TINY, mass / mass.sum().clamp_min(_TINY), fit.prior)
    return LatentClassFit(transition, prior)
