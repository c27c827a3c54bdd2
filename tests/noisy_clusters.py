"""Clusters with labels flipped by a known transition matrix."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class NoisyClusters(NamedTuple):
    features: Tensor
    labels: Tensor
    noisy: Tensor
    transition: Tensor


def noise_matrix(classes: int, noise: float, kind: str) -> Tensor:
    """T with a diagonal of 1 - noise; 'symmetric' or 'pair' (all noise goes to the next class)."""
    identity = torch.eye(classes)
    if kind == 'pair':
        return (1 - noise) * identity + noise * identity.roll(1, dims=1)
    return torch.full((classes, classes), noise / (classes - 1)).fill_diagonal_(1 - noise)


def noisy_clusters(
    classes: int, noise: float, *, kind: str = 'symmetric', points: int = 6000, separation: float = 12, seed: int = 0
) -> NoisyClusters:
    """Gaussian clusters of unit variance around centres of one length in 8 dimensions."""
    generator = torch.Generator().manual_seed(seed)
    transition = noise_matrix(classes, noise, kind)
    labels = torch.randint(classes, (points,), generator=generator)
    noisy = torch.multinomial(transition[labels], 1, generator=generator).squeeze(1)
    centres = torch.randn(classes, 8, generator=generator)
    centres = separation * centres / centres.norm(dim=1, keepdim=True)
    features = centres[labels] + torch.randn(points, 8, generator=generator)
    return NoisyClusters(features, labels, noisy, transition)
