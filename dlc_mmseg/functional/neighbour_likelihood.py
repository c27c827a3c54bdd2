"""Maximum likelihood of T from the noisy labels of neighbours, with neighbourhoods at the border of two classes."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from dlc_mmseg.functional.latent_class import (
    LatentClassFit,
    composition_posterior,
    label_patterns,
    likelihood_estimate,
    log_likelihood,
    own_label_step,
)

MOST_PAIRS = 200
MIXED_SHARE = 0.1


def fit_neighbour_labels(
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

    1. Maximum likelihood of the label triples of points and two neighbours (`likelihood_estimate`): who errs how, on
       average.
    2. The same for all given neighbours, as if every neighbourhood were of one class; from T as found and from the
       average noise, of which the likelier fit is kept: the first may have lost a rare class to another.
    3. Classes that met in a neighbourhood (`meeting_pairs`) may share one half and half. The fit goes on with these
       beside the pure neighbourhoods: where clusters overlap, labels of the other class are no longer taken for noise.
    4. T is recounted with each point's label once (`own_label_step`).

    T is drawn a little to a belief, by default to the average noise found in step 1 (empirical Bayes), which
    matters for rare classes only.

    Args:
        labels: Noisy labels (N,), integers in 0..K-1, N >= 3.
        neighbours: Indices (N, V - 1), V >= 3, nearest first, as from `nearest_neighbours`.
        start: T to start from, (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1.
        belief: Mean of the prior of T, (K, K); None takes the average noise.
        strength: How many points of each class the belief is worth, >= 0.
        max_iterations: Limit of EM steps of a fit.
        tolerance: EM ends when the log-likelihood changes by less than this share of itself per step.

    Returns:
        T and P(true label), float64. Classes without a label have prior 0 and the row of ``start``.

    Raises:
        ValueError: If shapes do not fit or there are fewer than two neighbours.
    """
    if labels.dim() != 1 or neighbours.dim() != 2 or len(neighbours) != len(labels) or neighbours.shape[1] < 2:
        raise ValueError(
            f'labels {tuple(labels.shape)} and neighbours {tuple(neighbours.shape)}: pass (N,) and (N, 2) or more'
        )
    labels, classes = labels.long(), len(start)
    seen = torch.bincount(labels, minlength=classes) > 0
    estimate = partial(likelihood_estimate, max_iterations=max_iterations, tolerance=tolerance)
    lifted = start.double().lerp(
        torch.full_like(start, 1 / classes).double(), 1e-3
    )  # EM never changes an entry that is 0
    triples = label_patterns(labels, neighbours[:, :2], classes)
    extra = None if belief is None else 3 * strength * belief.double()
    rough = estimate(*triples, lifted, seen / seen.sum(), prior_counts=extra)
    belief = _average_noise(rough) if belief is None else belief.double()

    views = torch.cat([labels.unsqueeze(1), labels[neighbours]], dim=1)
    patterns = label_patterns(labels, neighbours, classes)
    extra = views.shape[1] * strength * belief
    starts = ((rough.transition.lerp(belief, 1e-3), rough.prior), (belief, seen / seen.sum()))
    fits = [estimate(*patterns, *start_of_fit, prior_counts=extra) for start_of_fit in starts]
    fit = max(fits, key=lambda found: float(log_likelihood(*patterns, found, prior_counts=extra)))
    pairs = meeting_pairs(composition_posterior(views, fit).argmax(dim=1), neighbours, classes)
    mixtures = torch.cat([torch.eye(classes, device=pairs.device), pairs]).double()
    if len(pairs):
        mixed = fit.prior.new_full((len(pairs),), MIXED_SHARE / len(pairs))
        shares = torch.cat([(1 - MIXED_SHARE) * fit.prior, mixed])
        fit = estimate(*patterns, fit.transition, shares, compositions=mixtures, prior_counts=extra)
    fit = own_label_step(views, labels, fit, compositions=mixtures, prior_counts=strength * belief)
    return LatentClassFit(torch.where(seen.unsqueeze(1), fit.transition, start.double()), fit.prior @ mixtures)


def meeting_pairs(classes_of: Tensor, neighbours: Tensor, num_classes: int) -> Tensor:
    """Half and half mixtures of the classes that meet among neighbours.

    Args:
        classes_of: Likeliest class of each point, (N,).
        neighbours: Indices (N, V - 1).
        num_classes: K.

    Returns:
        (P, K), two entries of 0.5 per row: the pairs of different classes that are neighbours somewhere, at most
        `MOST_PAIRS`, the most frequent first.
    """
    codes = classes_of.unsqueeze(1) * num_classes + classes_of[neighbours]
    meetings = torch.bincount(codes.flatten(), minlength=num_classes**2).view(num_classes, num_classes)
    first, second = torch.triu_indices(num_classes, num_classes, 1, device=codes.device)
    often, order = (meetings + meetings.t())[first, second].sort(descending=True, stable=True)
    order = order[: min(MOST_PAIRS, int((often > 0).sum()))]
    pairs = torch.zeros(len(order), num_classes, device=codes.device)
    rows = torch.arange(len(order), device=codes.device)
    pairs[rows, first[order]] = pairs[rows, second[order]] = 0.5
    return pairs


def _average_noise(fit: LatentClassFit) -> Tensor:
    """T with the mean diagonal of a fit and equal shares elsewhere."""
    classes = len(fit.prior)
    diagonal = (fit.prior * fit.transition.diagonal()).sum()
    average = ((1 - diagonal) / (classes - 1)).expand(classes, classes).clone()
    average.fill_diagonal_(0)
    return average + diagonal * torch.eye(classes, dtype=average.dtype, device=average.device)
