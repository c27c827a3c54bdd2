"""Clusters of points whose labels are flipped by a known transition matrix.

``T[i, j] = P(noisy label = j | true label = i)``, rows sum to 1.
"""

from __future__ import annotations

import itertools
import math
import zlib
from typing import NamedTuple

import torch
from torch import Tensor

KINDS = ('symmetric', 'pair-flip', 'random', 'near-singular')
NOISE = (0.2, 0.4, 0.6)
PRIORS = ('balanced', 'long-tailed')
CLUSTERS = ('clean', 'overlapping')
DIMENSIONS = 16
IMBALANCE = 10  # of a long tail: the commonest class has this many times the points of the rarest


class Cell(NamedTuple):
    """A setting of the benchmark.

    Attributes:
        kind: One of `KINDS`.
        classes: K.
        noise: Share of points with a wrong label, in (0, 1).
        prior: One of `PRIORS`.
        clusters: One of `CLUSTERS`.
    """

    kind: str
    classes: int
    noise: float
    prior: str
    clusters: str

    @property
    def counts(self) -> bool:
        """Whether T tells its classes apart by the largest entry of a row: only such cells enter the means."""
        return self.kind != 'near-singular' and (self.noise < 0.5 or (self.classes > 2 and self.kind != 'pair-flip'))


class NoisyPoints(NamedTuple):
    """A draw of a cell.

    Attributes:
        features: (N, D).
        true: True labels (N,).
        noisy: Noisy labels (N,).
        transition: The T they were flipped with, (K, K).
    """

    features: Tensor
    true: Tensor
    noisy: Tensor
    transition: Tensor


def cells(classes: tuple[int, ...] = (2, 6, 19)) -> list[Cell]:
    """All settings: kind of noise x K x noise x prior x clusters."""
    return [Cell(*values) for values in itertools.product(KINDS, classes, NOISE, PRIORS, CLUSTERS)]


def noise_matrix(kind: str, classes: int, noise: float, generator: torch.Generator) -> Tensor:
    """T of a kind.

    - symmetric: ``1 - noise`` on the diagonal, equal shares elsewhere;
    - pair-flip: all noise goes to the next class;
    - random: row i has noise ``noise * U(0.75, 1.25)``, shared out by a flat Dirichlet distribution; rows are drawn
      again until the diagonal is their largest entry, where ``K noise`` allows it (at K = 2 up to 40 %);
    - near-singular: symmetric, and the first two rows are 55 : 45 mixtures of each other.
    """
    identity = torch.eye(classes)
    if kind == 'pair-flip':
        return (1 - noise) * identity + noise * identity.roll(1, dims=1)
    if kind == 'random':
        return torch.stack([_random_row(i, classes, noise, generator) for i in range(classes)])
    matrix = torch.full((classes, classes), noise / (classes - 1)).fill_diagonal_(1 - noise)
    if kind == 'near-singular':
        matrix[:2] = torch.tensor([[0.55, 0.45], [0.45, 0.55]]) @ matrix[:2]
    return matrix


def _random_row(own: int, classes: int, noise: float, generator: torch.Generator) -> Tensor:
    for _ in range(1000):
        level = noise * (0.75 + 0.5 * float(torch.rand((), generator=generator)))
        shares = -torch.rand(classes, generator=generator).clamp_min(1e-12).log()  # exponential: Dirichlet(1, .., 1)
        shares[own] = 0
        row = level * shares / shares.sum()
        row[own] = 1 - level
        if int(row.argmax()) == own:
            break
    return row


def class_prior(prior: str, classes: int) -> Tensor:
    """P(true label), (K,): equal, or falling geometrically by `IMBALANCE` from the first class to the last."""
    if prior == 'balanced':
        return torch.full((classes,), 1 / classes)
    shares = float(IMBALANCE) ** -(torch.arange(classes) / (classes - 1))
    return shares / shares.sum()


def centre_length(clusters: str, classes: int) -> float:
    """Distance of the centres from the origin; clusters have unit variance.

    Clean: neighbours always share the true label. Overlapping: about 87 of 100 points have both neighbours in their
    class, whatever K.
    """
    return 14.0 if clusters == 'clean' else 1.9 + 0.85 * math.log(classes)


def draw(cell: Cell, num_points: int, seed: int) -> NoisyPoints:
    """Draw T, cluster centres and points; the same cell and seed give the same points."""
    generator = torch.Generator().manual_seed(zlib.crc32(f'{tuple(cell)} {seed}'.encode()))
    transition = noise_matrix(cell.kind, cell.classes, cell.noise, generator)
    prior = class_prior(cell.prior, cell.classes)
    true = torch.multinomial(prior, num_points, replacement=True, generator=generator)
    noisy = torch.multinomial(transition[true], 1, generator=generator).squeeze(1)
    centres = torch.randn(cell.classes, DIMENSIONS, generator=generator)
    centres = centre_length(cell.clusters, cell.classes) * centres / centres.norm(dim=1, keepdim=True)
    features = centres[true] + torch.randn(num_points, DIMENSIONS, generator=generator)
    return NoisyPoints(features, true, noisy, transition)
