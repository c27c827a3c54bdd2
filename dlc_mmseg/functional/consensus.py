"""High-order consensus of neighbouring noisy labels (HOC, Zhu, Song and Liu, ICML 2021).

A point and its two nearest neighbours are taken to share one true label, their noisy labels to be independent
given it. ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1; ``prior[i] = P(true label = i)``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_GROUP = 16  # columns a maximum is taken of; the fastest of 8, 16, 32 at 15 000 points


class ConsensusCounts(NamedTuple):
    """Shares of label patterns, each summing to 1 (the consensus patterns of HOC).

    Attributes:
        first: (K,), of the points' own labels j.
        second: (K, K), of pairs j, k of own and first neighbour's label.
        third: (K, K, K), of triples j, k, l of own, first and second neighbour's label.
    """

    first: Tensor
    second: Tensor
    third: Tensor


@torch.no_grad()
def nearest_neighbours(features: Tensor, *, num_neighbours: int = 2, chunk_size: int = 1024) -> Tensor:
    """Exact nearest neighbours by cosine similarity, through chunked matrix products.

    Args:
        features: (N, D); need not be normalised, a zero vector has similarity 0 to all. Computed at least in
            float32, under autocast too.
        num_neighbours: Neighbours per point, at most N - 1.
        chunk_size: Points compared with all others at a time; bounds the extra memory to about
            ``chunk_size * N`` floats.

    Returns:
        Indices (N, num_neighbours), nearest first; never the point itself. Among equally near points any may
        come first.

    Raises:
        ValueError: If there are too few points or an argument is not positive.
    """
    if features.dim() != 2 or num_neighbours < 1 or chunk_size < 1:
        raise ValueError(
            f'features {tuple(features.shape)}, num_neighbours {num_neighbours}, chunk_size {chunk_size}: '
            'pass (N, D) and positive numbers'
        )
    if len(features) <= num_neighbours:
        raise ValueError(f'{len(features)} points have no {num_neighbours} neighbours each: pass more points')
    with torch.autocast(features.device.type, enabled=False):
        unit = F.normalize(features.to(torch.promote_types(features.dtype, torch.float32)), dim=1)
        buffer = unit.new_empty(min(chunk_size, len(unit)), len(unit))  # fresh memory for each chunk costs more
        found = []
        for start in range(0, len(unit), chunk_size):
            chunk = unit[start : start + chunk_size]
            similarity = torch.mm(chunk, unit.t(), out=buffer[: len(chunk)])
            similarity.diagonal(offset=start).fill_(-torch.inf)
            found.append(_largest(similarity, num_neighbours))
    return torch.cat(found)


def _largest(values: Tensor, number: int) -> Tensor:
    """Columns of the largest entries of each row, largest first.

    They lie in the groups of columns with the largest maxima: one vectorised pass instead of a selection.
    """
    groups = values.shape[1] // _GROUP
    if groups < 4 * number:
        return values.topk(number, dim=1).indices
    grouped = values[:, : groups * _GROUP].view(-1, _GROUP, groups)  # column = place * groups + group
    best = grouped.amax(dim=1).topk(number, dim=1).indices
    places = torch.arange(0, groups * _GROUP, groups, device=values.device)
    columns = (best.unsqueeze(2) + places).flatten(1)
    rest = torch.arange(groups * _GROUP, values.shape[1], device=values.device)
    columns = torch.cat([columns, rest.expand(len(values), -1)], dim=1)
    return columns.gather(1, values.gather(1, columns).topk(number, dim=1).indices)


def consensus_counts(labels: Tensor, neighbours: Tensor, num_classes: int) -> ConsensusCounts:
    """Count label patterns of points and their two neighbours by one bincount.

    Args:
        labels: Noisy labels (N,), integers in 0..K-1, N >= 1.
        neighbours: Indices (N, 2) as from `nearest_neighbours`.
        num_classes: K. The third order has K^3 entries.

    Returns:
        Shares of first, second and third order, float32.

    Raises:
        ValueError: If shapes do not fit or a label is no class.
    """
    if labels.dim() != 1 or neighbours.shape != (len(labels), 2) or not len(labels):
        raise ValueError(
            f'labels {tuple(labels.shape)} and neighbours {tuple(neighbours.shape)}: pass (N,) and (N, 2) with N >= 1'
        )
    if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f'labels reach from {int(labels.min())} to {int(labels.max())}: drop ignored points, '
            f'and number classes 0..{num_classes - 1}'
        )
    own, size = labels.long(), (num_classes,) * 3
    patterns = (own * num_classes + own[neighbours[:, 0]]) * num_classes + own[neighbours[:, 1]]
    counts = torch.bincount(patterns, minlength=num_classes**3).view(size)
    total = len(labels)
    return ConsensusCounts(counts.sum(dim=(1, 2)) / total, counts.sum(dim=2) / total, counts / total)


def consensus_model(transition: Tensor, prior: Tensor) -> ConsensusCounts:
    """Expected shares under T and the prior (the consensus equations of HOC), differentiable in both.

    Args:
        transition: T of shape (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1.
        prior: P(true label), (K,), sums to 1.

    Returns:
        ``sum_i prior_i T_ij``, ``sum_i prior_i T_ij T_ik`` and ``sum_i prior_i T_ij T_ik T_il``, at least
        float32, under autocast too.
    """
    with torch.autocast(transition.device.type, enabled=False):
        dtype = torch.promote_types(transition.dtype, torch.float32)
        matrix, shares = transition.to(dtype), prior.to(dtype)
        first = torch.einsum('i,ij->j', shares, matrix)
        second = torch.einsum('i,ij,ik->jk', shares, matrix, matrix)
        third = torch.einsum('i,ij,ik,il->jkl', shares, matrix, matrix, matrix)
    return ConsensusCounts(first, second, third)


def consensus_loss(counts: ConsensusCounts, transition: Tensor, prior: Tensor) -> Tensor:
    """Sum over the three orders of the L2 norm of counted minus expected shares (HOC's objective).

    Args:
        counts: Counted shares, without gradient.
        transition: T of shape (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1.
        prior: P(true label), (K,), sums to 1.

    Returns:
        Scalar >= 0, at least float32, under autocast too. The gradient is finite at an exact fit (0 there).
    """
    expected = consensus_model(transition, prior)
    with torch.autocast(transition.device.type, enabled=False):
        norms = [
            torch.linalg.vector_norm(counted.to(model.dtype) - model)
            for counted, model in zip(counts, expected, strict=True)
        ]
        return torch.stack(norms).sum()


def consensus_estimate(
    counts: ConsensusCounts,
    transition_init: Tensor,
    seen: Tensor,
    *,
    learning_rate: float = 0.1,
    steps: int = 1500,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Published solver: Adam on free logits of T and the prior, the best loss kept (HOC).

    Args:
        counts: Counted shares.
        transition_init: T to start from, (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``.
        seen: (K,) bool; classes that are not seen keep their row and get prior 0.
        learning_rate: Adam's rate.
        steps: Adam's steps; each costs K^4.
        generator: CPU source of the prior's start, ``1 / K + 0.1 U(0, 1)`` as logits.

    Returns:
        T (K, K) and prior (K,), float32.
    """
    fixed, size = transition_init.float(), len(transition_init)
    noise = torch.rand(size, generator=generator).to(fixed.device)
    logits = fixed.clamp_min(1e-6).log().requires_grad_()
    prior_logits = (1 / size + 0.1 * noise).requires_grad_()
    optimizer = torch.optim.Adam([logits, prior_logits], lr=learning_rate)
    best = torch.full((), torch.inf, device=fixed.device)
    kept = (fixed, seen / seen.sum())
    with torch.enable_grad():
        for _ in range(steps):
            transition = torch.where(seen.unsqueeze(1), logits.softmax(dim=1), fixed)
            prior = prior_logits.masked_fill(~seen, -torch.inf).softmax(dim=0)
            loss = consensus_loss(counts, transition, prior)
            better, now = loss.detach() < best, (transition.detach(), prior.detach())
            best = torch.where(better, loss.detach(), best)
            kept = (torch.where(better, now[0], kept[0]), torch.where(better, now[1], kept[1]))
            logits.grad, prior_logits.grad = torch.autograd.grad(loss, [logits, prior_logits])
            optimizer.step()
    return kept
