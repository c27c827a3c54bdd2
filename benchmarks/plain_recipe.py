"""The published estimator of T, as HOC describes it (Zhu, Song and Liu, ICML 2021, algorithm 1 and appendix).

Written twice, independently of the package: `solve_batch` gives its accuracy (tensor products, a batch of problems
at once), `count_with_loops` and `model_with_loops` give its cost (the loops of the original's structure).
``T[i, j] = P(noisy label = j | true label = i)``, rows sum to 1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEARNING_RATE = 0.1
STEPS = 1500


def two_nearest(features: Tensor, chunk_size: int = 1024) -> Tensor:
    """Two nearest other points by cosine distance, (N, 2): the smallest entry of a row is itself, masked in turn."""
    unit = F.normalize(features.float(), dim=1)
    found = []
    for start in range(0, len(unit), chunk_size):
        distance = 1 - unit[start : start + chunk_size] @ unit.t()
        rows = torch.arange(len(distance))
        distance[rows, start + rows] = torch.inf
        first = distance.argmin(dim=1)
        distance[rows, first] = torch.inf
        found.append(torch.stack([first, distance.argmin(dim=1)], dim=1))
    return torch.cat(found)


def shares_of_triples(labels: Tensor, neighbours: Tensor, classes: int) -> Tensor:
    """Share of each triple of own, first and second neighbour's label, (K, K, K)."""
    shares = torch.zeros(classes, classes, classes)
    triple = (labels, labels[neighbours[:, 0]], labels[neighbours[:, 1]])
    return shares.index_put_(triple, torch.tensor(1 / len(labels)), accumulate=True)


def solve_batch(triples: Tensor, generator: torch.Generator, *, steps: int = STEPS) -> Tensor:
    """T of a batch of problems: Adam at 0.1 on logits 5 I - 1 and ``1 / K + 0.1 U(0, 1)``, the best loss kept.

    Args:
        triples: Shares of label triples, (B, K, K, K).
        generator: Source of the prior's start.
        steps: Steps of Adam.

    Returns:
        T of the smallest loss of each problem, (B, K, K).
    """
    batch, classes = triples.shape[:2]
    pairs, singles = triples.sum(dim=3), triples.sum(dim=(2, 3))
    logits = (5 * torch.eye(classes) - 1).repeat(batch, 1, 1).requires_grad_()
    prior_logits = (1 / classes + 0.1 * torch.rand(batch, classes, generator=generator)).requires_grad_()
    optimizer = torch.optim.Adam([logits, prior_logits], lr=LEARNING_RATE)
    best = torch.full((batch,), torch.inf)
    kept = logits.detach().softmax(dim=2)
    for _ in range(steps):
        transition, prior = logits.softmax(dim=2), prior_logits.softmax(dim=1)
        weighted = (prior.unsqueeze(2) * transition).transpose(1, 2)  # (B, j, i)
        both = (transition.unsqueeze(3) * transition.unsqueeze(2)).flatten(2)  # (B, i, k l)
        loss = (
            (singles - weighted.sum(dim=2)).norm(dim=1)
            + (pairs - weighted @ transition).flatten(1).norm(dim=1)
            + (triples - (weighted @ both).view_as(triples)).flatten(1).norm(dim=1)
        )
        better = loss.detach() < best
        best = torch.where(better, loss.detach(), best)
        kept = torch.where(better[:, None, None], transition.detach(), kept)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    return kept


def count_with_loops(labels: Tensor, neighbours: Tensor, classes: int) -> list[Tensor]:
    """Shares of label patterns of three orders, one point after the other."""
    counts = [torch.zeros((classes,) * order) for order in (1, 2, 3)]
    for point in range(len(labels)):
        first, second = neighbours[point]
        own, one, two = labels[point], labels[first], labels[second]
        counts[0][own] += 1
        counts[1][own][one] += 1
        counts[2][own][one][two] += 1
    return [count / len(labels) for count in counts]


def model_with_loops(transition: Tensor, prior: Tensor) -> list[Tensor]:
    """Modelled shares of three orders: products of T with its columns rotated by every pair of offsets."""
    classes = len(transition)
    column = prior.view(classes, 1)
    order = torch.arange(classes)
    third = torch.zeros(classes, classes, classes)
    seconds = []
    for i in range(classes):
        by_i = transition * torch.cat((transition[:, i:], transition[:, :i]), dim=1)
        seconds.append(by_i.t() @ column)
        thirds = []
        for j in range(classes):
            rotated = torch.cat((transition[:, j:], transition[:, :j]), dim=1)
            thirds.append((by_i * rotated).t() @ column)
        block = torch.cat(thirds, dim=1)
        for row in range(classes):
            turned = torch.cat((block[row, classes - row :], block[row, : classes - row]))
            third[row, (row + i) % classes] = turned
    shifted = torch.cat(seconds, dim=1)
    second = torch.stack([shifted[row, (order - row) % classes] for row in range(classes)])
    return [(transition.t() @ column).squeeze(1), second, third]


def loss_with_loops(counts: list[Tensor], transition: Tensor, prior: Tensor) -> Tensor:
    """Sum of the L2 norms of counted minus modelled shares."""
    loss = torch.zeros(())
    for counted, modelled in zip(counts, model_with_loops(transition, prior), strict=True):
        loss = loss + torch.linalg.vector_norm(counted - modelled)
    return loss
