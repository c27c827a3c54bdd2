"""Maximum likelihood of T from the noisy labels of neighbours, adapted to how well points cluster."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from dlc_mmseg.functional.latent_class import (
    LatentClassFit,
    label_patterns,
    likelihood_estimate,
    own_label_step,
)

TIGHT_SHARES = (0.5, 0.25)
SIGNIFICANCE = 3.0
FEWEST_POINTS = 25


def fit_neighbour_labels(
    unit: Tensor,
    labels: Tensor,
    neighbours: Tensor,
    start: Tensor,
    *,
    belief: Tensor | None = None,
    strength: float = 2.0,
    max_iterations: int = 1000,
    tolerance: float = 1e-7,
) -> LatentClassFit:
    """Fit T and the class prior to the labels of points and their neighbours.

    1. Maximum likelihood of the label triples of points and two neighbours (`likelihood_estimate`).
    2. `tight_share` decides from features and labels whether all points sit in neighbourhoods of one class.
    3. If they do, patterns of all given neighbours are fitted, and T is recounted with each point's label once
       (`own_label_step`). If not, patterns of at most four neighbours are fitted, at the points with the nearest
       neighbours only: chosen by features, so that the choice does not favour any label.

    T is drawn a little to a belief, by default to the average noise found in step 1 (empirical Bayes), which
    matters for rare classes only.

    Args:
        unit: Normalised features (N, D), N >= 3.
        labels: Noisy labels (N,), integers in 0..K-1.
        neighbours: Indices (N, V - 1), V >= 3, nearest first, as from `nearest_neighbours`.
        start: T to start from, (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1.
        belief: Mean of the prior of T, (K, K); None takes the average noise.
        strength: How many points of each class the belief is worth, >= 0.
        max_iterations: Limit of EM steps of a fit.
        tolerance: EM ends when the log-likelihood changes by less than this share of itself per step.

    Returns:
        T and prior, float64. Classes without a label have prior 0 and the row of ``start``.
    """
    classes = len(start)
    seen = torch.bincount(labels, minlength=classes) > 0
    fit_patterns = partial(likelihood_estimate, max_iterations=max_iterations, tolerance=tolerance)
    lifted = start.double().lerp(torch.full_like(start, 1 / classes).double(), 1e-3)  # EM cannot leave a zero
    triples = label_patterns(labels, neighbours[:, :2], classes)
    extra = None if belief is None else 3 * strength * belief.double()
    rough = fit_patterns(*triples, lifted, seen / seen.sum(), prior_counts=extra)
    belief = _average_noise(rough) if belief is None else belief.double()

    similarity = (unit * unit[neighbours[:, 1]]).sum(dim=1)
    smallest = float(rough.prior[seen].min()) * len(labels)
    share = tight_share(labels, neighbours, similarity)
    rows = torch.arange(len(labels), device=labels.device)
    if share < 1:
        neighbours = neighbours[:, :4]
        if share * smallest >= FEWEST_POINTS:
            rows = similarity.argsort(descending=True, stable=True)[: int(share * len(labels))]
    views = torch.cat([labels.unsqueeze(1), labels[neighbours]], dim=1)[rows]
    patterns = label_patterns(labels, neighbours, classes, rows=rows)
    again = LatentClassFit(rough.transition.lerp(belief, 1e-3), rough.prior)
    fit = fit_patterns(*patterns, *again, prior_counts=views.shape[1] * strength * belief)
    if share == 1:
        fit = own_label_step(views, labels, fit, prior_counts=strength * belief)
    return LatentClassFit(torch.where(seen.unsqueeze(1), fit.transition, start.double()), fit.prior)


def tight_share(labels: Tensor, neighbours: Tensor, similarity: Tensor) -> float:
    """Share of points to keep so that neighbours share the true label as often as they can.

    Class-conditional noise is the same everywhere, so labels of neighbours agree equally often in tight and in
    loose neighbourhoods, unless loose ones mix classes. Points are halved as long as the tighter half agrees
    more often than the other by more than `SIGNIFICANCE` standard errors.

    Args:
        labels: Noisy labels (N,).
        neighbours: Indices (N, >= 2), nearest first.
        similarity: Similarity of each point to its second neighbour, (N,).

    Returns:
        1, or one of `TIGHT_SHARES`.
    """
    agreement = (labels.unsqueeze(1) == labels[neighbours[:, :2]]).double().mean(dim=1)
    agreement = agreement[similarity.argsort(descending=True, stable=True)]
    kept = 1.0
    for share in TIGHT_SHARES:
        tight, loose = agreement[: int(share * len(labels))], agreement[int(share * len(labels)) :]
        loose = loose[: int(kept * len(labels)) - len(tight)]
        if min(len(tight), len(loose)) < 2:
            break
        error = (tight.var() / len(tight) + loose.var() / len(loose)).sqrt()
        if float(tight.mean() - loose.mean()) <= SIGNIFICANCE * float(error):
            break
        kept = share
    return kept


def _average_noise(fit: LatentClassFit) -> Tensor:
    """T with the mean diagonal of a fit and equal shares elsewhere."""
    classes = len(fit.prior)
    diagonal = (fit.prior * fit.transition.diagonal()).sum()
    average = ((1 - diagonal) / (classes - 1)).expand(classes, classes).clone()
    average.fill_diagonal_(0)
    return average + diagonal * torch.eye(classes, dtype=average.dtype, device=average.device)
