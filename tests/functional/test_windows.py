"""Crop boxes and sliding windows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc_mmseg.functional import Box, random_box, sliding_windows

lengths = st.integers(1, 60)


@st.composite
def _windows(draw):
    window = (draw(lengths), draw(lengths))
    stride = (draw(st.integers(1, window[0])), draw(st.integers(1, window[1])))
    return (draw(lengths), draw(lengths)), window, stride


@settings(max_examples=60, deadline=None)
@given(_windows())
def test_windows_cover_the_image_and_stay_inside(case):
    size, window, stride = case
    covered = torch.zeros(size)
    boxes = sliding_windows(size, window, stride)
    for box in boxes:
        assert 0 <= box.top < box.bottom <= size[0]
        assert 0 <= box.left < box.right <= size[1]
        assert (box.height, box.width) == (min(size[0], window[0]), min(size[1], window[1]))
        covered[box.slices] += 1
    assert covered.min() >= 1
    assert len(set(boxes)) == len(boxes)
    assert boxes == sorted(boxes)


def test_positions_of_the_published_tiles():
    boxes = sliding_windows((6000, 6000), (512, 512), (256, 256))
    assert len(boxes) == 23 * 23
    assert boxes[0] == Box(0, 0, 512, 512)
    assert boxes[22] == Box(0, 5488, 512, 6000)
    assert boxes[-1] == Box(5488, 5488, 6000, 6000)


def test_image_that_fits_exactly_or_is_smaller():
    assert sliding_windows((8, 8), (4, 4), (4, 4)) == [Box(t, s, t + 4, s + 4) for t in (0, 4) for s in (0, 4)]
    assert sliding_windows((3, 9), (4, 4), (4, 4)) == [Box(0, s, 3, s + 4) for s in (0, 4, 5)]


@pytest.mark.parametrize('arguments', [((0, 8), (4, 4), (4, 4)), ((8, 8), (4, 4), (5, 4)), ((8, 8), (4, 4), (4, 0))])
def test_windows_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ValueError, match=r'positive|stride'):
        sliding_windows(*arguments)


@settings(max_examples=40, deadline=None)
@given(size=st.tuples(lengths, lengths), crop=st.tuples(lengths, lengths), step=st.integers(1, 8))
def test_random_box_stays_inside_on_the_grid(size, crop, step):
    box = random_box(size, crop, divisible_by=step, generator=torch.Generator().manual_seed(0))
    assert (box.height, box.width) == (min(size[0], crop[0]), min(size[1], crop[1]))
    assert box.top % step == box.left % step == 0
    assert box.top >= 0 and box.bottom <= size[0]  # noqa: PT018
    assert box.left >= 0 and box.right <= size[1]  # noqa: PT018


def test_every_offset_is_drawn_the_last_included():
    generator = torch.Generator().manual_seed(0)
    boxes = [random_box((32, 20), (16, 20), divisible_by=8, generator=generator) for _ in range(60)]
    assert {box.top for box in boxes} == {0, 8, 16}
    assert {box.left for box in boxes} == {0}


@pytest.mark.parametrize('change', [{'size': (0, 4)}, {'crop': (4, 0)}, {'divisible_by': 0}])
def test_random_box_refuses_lengths_below_one(change):
    with pytest.raises(ValueError, match='positive'):
        random_box(**{'size': (8, 8), 'crop': (4, 4), **change})
