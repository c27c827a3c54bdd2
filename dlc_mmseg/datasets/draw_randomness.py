"""Counter-based randomness: everything random about a draw follows from the run's seed and the draw's number."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


class Stream(IntEnum):
    """Independent streams of random numbers of one seed."""

    PAIR = 0
    PIPELINE = 1
    SOURCE_ORDER = 2
    TARGET_ORDER = 3


def draw_generator(seed: int, ordinal: int, stream: Stream) -> np.random.Generator:
    """Generator that depends on nothing but its arguments.

    Args:
        seed: Seed of the run, not negative.
        ordinal: Number of the draw or of the epoch, not negative.
        stream: What the numbers are for.

    Returns:
        A fresh generator (Philox, keyed by a hash of the three).
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, ordinal, int(stream)))))


@contextmanager
def isolated_randomness(seed: int, ordinal: int) -> Iterator[None]:
    """Run a block with the global generators seeded for one draw, then put them back.

    Pipelines of mmcv and mmseg draw from the global generators of `random`, `numpy` and torch's CPU; those of
    accelerators are left alone.

    Args:
        seed: Seed of the run, not negative.
        ordinal: Number of the draw, not negative.

    Yields:
        Nothing; inside the block the three generators are a function of the arguments.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    key = np.random.SeedSequence((seed, ordinal, int(Stream.PIPELINE))).generate_state(8)
    random.seed(int(key[:2].view(np.uint64)[0]))
    np.random.seed(key[2:6])
    torch.default_generator.manual_seed(int(key[6:].view(np.int64)[0]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, stream: Stream, size: int) -> NDArray[Any]:
    """Order in which one pass over a dataset visits its images.

    Args:
        seed: Seed of the run.
        epoch: Number of the pass.
        stream: Which dataset it is for.
        size: Number of images.

    Returns:
        A permutation of ``0..size-1``; do not write to it.
    """
    order = draw_generator(seed, epoch, stream).permutation(size)
    order.setflags(write=False)
    return order


def shuffled_index(seed: int, ordinal: int, stream: Stream, size: int) -> int:
    """Image of a draw where every pass visits each image once.

    Args:
        seed: Seed of the run.
        ordinal: Number of the draw.
        stream: Which dataset it is for.
        size: Number of images.

    Returns:
        Index in ``0..size-1``.
    """
    epoch, position = divmod(ordinal, size)
    return int(epoch_order(seed, epoch, stream, size)[position])
