"""A few items of many, evenly spread."""

from __future__ import annotations

from itertools import pairwise

import pytest

from dlc_mmseg.functional.spread import spread, spread_indices


@pytest.mark.parametrize('count', [0, 1, 2, 5, 8, 9, 100])
@pytest.mark.parametrize('limit', [None, 1, 2, 3, 8, 64])
def test_indices_are_even_distinct_and_hold_both_ends(count, limit):
    indices = list(spread_indices(count, limit))
    assert len(indices) == (count if limit is None else min(count, limit))
    assert indices == sorted(set(indices))
    if len(indices) > 1:
        assert (indices[0], indices[-1]) == (0, count - 1)
        steps = [b - a for a, b in pairwise(indices)]
        assert max(steps) - min(steps) <= 1


def test_items_keep_their_order():
    assert spread('abcdefghi', 3) == ['a', 'e', 'i']
    assert spread([], 3) == []
