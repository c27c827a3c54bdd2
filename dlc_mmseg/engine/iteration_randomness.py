"""Randomness of a training iteration as a function of the run's seed, the process and the iteration's number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_PURPOSE = 0x5EED


def seed_iteration(seed: int, rank: int, iteration: int) -> None:
    """Seed the default generators of `random`, `numpy` and torch (of every device).

    Mixing, masking, augmentation, crops and dropout draw from them. Seeding is by value, not by a saved state: any
    process that knows the three numbers draws the same.

    Args:
        seed: Seed of the run, not negative.
        rank: Number of the process, so that no two draw alike.
        iteration: Number of the iteration, from 0.
    """
    key = np.random.SeedSequence((seed, rank, iteration, _PURPOSE)).generate_state(8)
    random.seed(int(key[:2].view(np.uint64)[0]))
    np.random.seed(key[2:6])
    torch.manual_seed(int(key[6:].view(np.int64)[0]))


@contextmanager
def kept_randomness() -> Iterator[None]:
    """Leave the default generators of `random`, `numpy` and torch (this process' device too) as they were."""
    states = random.getstate(), np.random.get_state()
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if in_use else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
