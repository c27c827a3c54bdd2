from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from tiny_domains import global_states

from dlc_mmseg.datasets.draw_randomness import Stream, draw_generator, isolated_randomness, shuffled_index


def _numbers() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def _draw(seed: int, ordinal: int) -> tuple[float, float, float]:
    with isolated_randomness(seed, ordinal):
        return _numbers()


def test_global_generators_follow_seed_and_ordinal_only() -> None:
    first = _draw(3, 7)
    _numbers()
    assert _draw(3, 7) == first
    others = [_draw(3, 8), _draw(4, 7), _draw(7, 3)]
    for position in range(3):
        assert len({draw[position] for draw in [first, *others]}) == 4


def test_global_generators_are_put_back_also_after_an_error() -> None:
    before = global_states()
    with pytest.raises(ZeroDivisionError), isolated_randomness(0, 0):
        sum(_numbers()) / 0
    assert global_states() == before


def test_streams_and_ordinals_are_independent() -> None:
    values = {
        float(draw_generator(seed, ordinal, stream).random())
        for seed in range(4)
        for ordinal in range(4)
        for stream in Stream
    }
    assert len(values) == 4 * 4 * len(Stream)
    assert draw_generator(1, 2, Stream.PAIR).random() == draw_generator(1, 2, Stream.PAIR).random()


def test_every_pass_visits_each_image_once_in_another_order() -> None:
    passes = [[shuffled_index(5, epoch * 9 + i, Stream.SOURCE_ORDER, 9) for i in range(9)] for epoch in range(3)]
    assert all(sorted(order) == list(range(9)) for order in passes)
    assert len({tuple(order) for order in passes}) == 3
