"""What the cost benchmarks share."""

from __future__ import annotations

import math
import mmap
from pathlib import Path

import pytest


def test_every_part_has_its_turn_and_the_fastest_call_counts():
    from measuring import fastest

    calls = []
    found = fastest({name: lambda name=name: calls.append(name) for name in 'ab'}, 2, least=0.0)
    assert calls == ['a', 'b', 'a', 'b']
    assert all(0 <= value < math.inf for value in found.values())


def test_a_process_of_its_own_gives_its_result_or_says_that_it_has_none():
    from measuring import alone

    assert alone(math.hypot, 3, 4) == 5
    with pytest.raises(RuntimeError, match='sqrt'):
        alone(math.sqrt, -1)


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='peak memory is read from /proc')
def test_the_peak_is_that_of_the_part_alone():
    from measuring import peak_above, status

    def touch_fresh_pages():  # not those that an earlier part freed and the process still holds
        with mmap.mmap(-1, 40 * 2**20) as pages:
            pages[:: mmap.PAGESIZE] = b'1' * (len(pages) // mmap.PAGESIZE)

    bytes(80 * 2**20)
    assert peak_above(status('VmRSS'), touch_fresh_pages) == pytest.approx(40, abs=15)


def test_the_table_has_a_row_for_each_ratio():
    from measuring import Ratio, table_of

    table = table_of([Ratio('ours', 3.0, 'theirs', 2.0, 's')])
    assert table.splitlines()[-1] == '| ours | 3 s | theirs | 2 s | 1.50 |'


def test_parts_of_the_table_are_scripts_that_measure():
    import importlib

    from speed import PARTS

    assert all(callable(importlib.import_module(part).ratios) for part in PARTS)
