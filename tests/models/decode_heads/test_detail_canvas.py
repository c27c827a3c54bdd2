from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc_mmseg.functional.windows import Box, sliding_windows
from dlc_mmseg.models.decode_heads import stitch, to_grid


def test_boxes_on_whole_cells_are_exact() -> None:
    assert to_grid(Box(8, 16, 40, 64), (64, 96), (16, 24)) == Box(2, 4, 10, 16)
    assert to_grid(Box(0, 0, 64, 96), (64, 96), (8, 12)) == Box(0, 0, 8, 12)


def test_edges_go_to_the_nearest_cell_border() -> None:
    assert to_grid(Box(0, 5, 9, 11), (16, 16), (4, 4)) == Box(0, 1, 2, 3)
    assert to_grid(Box(15, 15, 16, 16), (16, 16), (4, 4)) == Box(3, 3, 4, 4)  # never empty, never outside


@settings(deadline=None)
@given(
    length=st.integers(1, 300),
    window=st.integers(1, 120),
    stride=st.integers(1, 120),
    cells=st.integers(1, 90),
)
def test_windows_that_cover_an_image_cover_its_grid(length: int, window: int, stride: int, cells: int) -> None:
    stride = min(stride, window)
    covered = [0] * cells
    for box in sliding_windows((length, 1), (window, 1), (stride, 1)):
        inside = to_grid(box, (length, 1), (cells, 1))
        assert 0 <= inside.top < inside.bottom <= cells
        for row in range(inside.top, inside.bottom):
            covered[row] += 1
    assert min(covered) > 0


def test_overlapping_windows_are_averaged() -> None:
    size, stride_of_cells = (32, 48), 4
    windows = sliding_windows(size, (16, 16), (8, 8))
    tiles = torch.randn(len(windows) * 2, 3, 4, 4, dtype=torch.float64)
    canvas = stitch(tiles, windows, size)
    assert canvas.size == size
    assert canvas.box == Box(0, 0, *size)
    expected = torch.zeros(2, 3, 8, 12, dtype=torch.float64)
    for image in range(2):
        for row in range(8):
            for column in range(12):
                seen = [
                    tiles[2 * index + image, :, row - box.top // 4, column - box.left // 4]
                    for index, box in enumerate(windows)
                    if box.top <= row * stride_of_cells < box.bottom
                    and box.left <= column * stride_of_cells < box.right
                ]
                expected[image, :, row, column] = torch.stack(seen).mean(0)
    torch.testing.assert_close(canvas.logits, expected)


def test_one_crop_leaves_zeros_around_it() -> None:
    tile = torch.ones(1, 2, 4, 4)
    canvas = stitch(tile, [Box(8, 16, 24, 32)], (32, 48))
    assert canvas.box == Box(8, 16, 24, 32)
    inside = torch.zeros(8, 12)
    inside[2:6, 4:8] = 1
    torch.testing.assert_close(canvas.logits, inside.expand(1, 2, 8, 12))


def test_gradient_of_a_tile_is_its_share() -> None:
    tiles = torch.randn(3, 1, 2, 2, requires_grad=True)
    windows = [Box(0, 0, 8, 8), Box(0, 4, 8, 12), Box(0, 8, 8, 16)]
    stitch(tiles, windows, (8, 16)).logits.sum().backward()
    shares = torch.tensor([[1.0, 0.5], [0.5, 0.5], [0.5, 1.0]])
    torch.testing.assert_close(tiles.grad, shares[:, None, None, :].expand(3, 1, 2, 2))


def test_windows_between_cells_are_resized() -> None:
    tile = torch.full((1, 1, 6, 6), 2.5)  # a window of 23 px at stride 4 has 6 cells, but covers 5 of the grid
    canvas = stitch(tile, [Box(18, 18, 41, 41)], (64, 64))
    assert set(canvas.logits.unique().tolist()) == {0.0, 2.5}


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_halves_are_averaged_in_single_precision(dtype: torch.dtype) -> None:
    canvas = stitch(torch.ones(1, 1, 2, 2, dtype=dtype), [Box(0, 0, 8, 8)], (8, 8))
    assert canvas.logits.dtype == torch.float32
