"""Draws follow from seed, rank and iteration, and from nothing else."""

from __future__ import annotations

import random

import numpy as np
import torch

from dlc_mmseg.engine.iteration_randomness import seed_iteration


def draws(seed, rank, iteration):
    seed_iteration(seed, rank, iteration)
    return random.random(), np.random.rand(3).tolist(), torch.rand(3).tolist()


def test_the_same_numbers_give_the_same_draws():
    first = draws(7, 1, 300)
    random.random()
    np.random.rand(5)
    torch.rand(5)
    assert draws(7, 1, 300) == first


def test_seed_rank_and_iteration_all_matter():
    kinds = [draws(*numbers) for numbers in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**40, 0, 0))]
    for generator in range(3):
        assert len({str(kind[generator]) for kind in kinds}) == len(kinds)


def test_iterations_are_independent():
    """Neighbouring seeds must not give neighbouring draws."""
    first = torch.tensor([draws(0, 0, iteration)[2][0] for iteration in range(200)])
    assert abs(float(first.mean()) - 0.5) < 0.08
    assert abs(float(np.corrcoef(first[:-1], first[1:])[0, 1])) < 0.2
