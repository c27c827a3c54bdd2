"""Windows averaged on a canvas, whole and strip by strip."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc_mmseg.functional import Box, WindowCanvas, sliding_windows


def reference(values, boxes, size, weights):
    """Every window padded to the whole image, in double precision."""
    total, weight = torch.zeros(*values[0].shape[:2], *size, dtype=torch.float64), torch.zeros(size).double()
    for value, box, share in zip(values, boxes, weights, strict=True):
        total[(..., *box.slices)] += value.double() * share
        weight[box.slices] += share
    return total / weight


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    window=st.tuples(st.integers(1, 8), st.integers(1, 8)),
    share=st.tuples(st.floats(0.1, 1), st.floats(0.1, 1)),
    tapered=st.booleans(),
)
def test_strips_and_the_whole_are_the_weighted_mean(size, window, share, tapered):
    stride = tuple(max(round(side * part), 1) for side, part in zip(window, share, strict=True))
    boxes = sliding_windows(size, window, stride)
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(2, 3, box.height, box.width, generator=generator) for box in boxes]
    shape = (boxes[0].height, boxes[0].width)
    weights = [torch.rand(shape, generator=generator).double() + 0.1 if tapered else 1.0 for _ in boxes]
    whole = WindowCanvas(2, 3, size)
    strips = WindowCanvas(2, 3, size, rows=window[0])
    parts = []
    for top, row in itertools.groupby(zip(boxes, values, weights, strict=True), key=lambda item: item[0].top):
        parts.append(strips.take(top))
        for box, value, weight in row:
            for canvas in (whole, strips):
                canvas.add(value, box, weight)
    parts.append(strips.take(size[0]))
    expected = reference(values, boxes, size, weights).float()
    torch.testing.assert_close(torch.cat(parts, dim=2), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.take(size[0]), expected, rtol=1e-4, atol=1e-5)


def test_boxes_outside_the_rows_held_are_refused():
    canvas = WindowCanvas(1, 1, (8, 6), rows=4)
    for box in (Box(1, 0, 5, 6), Box(0, 3, 4, 7)):
        with pytest.raises(ValueError, match='does not lie in the canvas'):
            canvas.add(torch.zeros(1, 1, 4, box.width), box)
    canvas.add(torch.ones(1, 1, 4, 6), Box(0, 0, 4, 6))
    with pytest.raises(ValueError, match='not held'):
        canvas.take(5)
    assert canvas.take(3).shape == (1, 1, 3, 6)
    with pytest.raises(ValueError, match='does not lie in the canvas'):
        canvas.add(torch.zeros(1, 1, 4, 6), Box(2, 0, 6, 6))


def test_a_pixel_without_a_window_is_an_error():
    canvas = WindowCanvas(1, 1, (4, 4))
    canvas.add(torch.zeros(1, 1, 4, 3), Box(0, 0, 4, 3))
    with pytest.raises(ValueError, match='lie in no window'):
        canvas.take(4)


@pytest.mark.parametrize('change', [{'batch_size': 0}, {'channels': 0}, {'size': (0, 4)}, {'rows': 0}])
def test_lengths_below_one_are_refused(change):
    with pytest.raises(ValueError, match='positive'):
        WindowCanvas(**{'batch_size': 1, 'channels': 1, 'size': (4, 4), **change})
