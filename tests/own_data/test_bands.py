"""Bands in one meaning."""

from __future__ import annotations

import pytest

from dlc_mmseg.own_data.bands import choose_bands

RGB = ('red', 'green', 'blue')


@pytest.mark.parametrize(
    ('source', 'target', 'expected', 'guessed'),
    [
        (RGB, RGB, (None, None), False),
        (('', '', ''), RGB, (None, None), False),
        (('', ''), ('', ''), ((1, 2), (1, 2)), False),
        (RGB, (*RGB, 'nir'), ((1, 2, 3), (1, 2, 3)), True),
        (('nir', *RGB), RGB, ((2, 3, 4), (1, 2, 3)), True),
        (('blue', 'green', 'red', 'nir'), RGB, ((1, 2, 3), (3, 2, 1)), True),
        (RGB, RGB[::-1], ((1, 2, 3), (3, 2, 1)), True),
        ((*RGB, 'nir'), ('nir', *RGB), ((1, 2, 3, 4), (2, 3, 4, 1)), True),
        ((*RGB, 'nir'), (*RGB, 'alpha'), ((1, 2, 3, 4), (1, 2, 3, 4)), False),
        ((*RGB, ''), ('', *RGB), ((1, 2, 3), (2, 3, 4)), True),
        (RGB, ('', '', '', ''), ((1, 2, 3), (1, 2, 3)), True),
        (('',), RGB, ((1,), (1,)), True),
    ],
)
def test_choice(source, target, expected, guessed):
    choice = choose_bands(source, target)
    assert (choice.source, choice.target) == expected
    assert bool(choice.remark) == guessed


def test_what_the_user_says():
    choice = choose_bands(RGB, (*RGB, 'nir'), [1, 2], [4, 1])
    assert (choice.source, choice.target, choice.remark) == ((1, 2), (4, 1), '')
    assert choose_bands(RGB, (*RGB, 'nir'), None, [3, 2, 1]).source == (3, 2, 1)
