"""Where the logits of detail windows lie on one grid over the whole image: HRDA's geometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dlc_mmseg.functional.windows import Box


class DetailCanvas(NamedTuple):
    """Detail logits of a whole image, as far as windows have seen it.

    Attributes:
        logits: Shape (B, K, h, w); overlapping windows averaged, 0 where no window lies.
        box: The part of the image that windows cover, in pixels of the image.
        size: Height and width of the image in pixels.
    """

    logits: Tensor
    box: Box
    size: tuple[int, int]


def to_grid(box: Box, size: tuple[int, int], grid: tuple[int, int]) -> Box:
    """Cells of a feature grid that a pixel box covers, edges rounded to the nearest cell border.

    Args:
        box: Box in pixels of the image.
        size: Height and width of the image in pixels.
        grid: Rows and columns of a grid that covers the same image.

    Returns:
        Box in cells, at least one cell high and wide. Boxes that touch in pixels touch in cells.
    """
    top, bottom = _cells(box.top, box.bottom, size[0], grid[0])
    left, right = _cells(box.left, box.right, size[1], grid[1])
    return Box(top, left, bottom, right)


def stitch(tiles: Tensor, windows: Sequence[Box], size: tuple[int, int]) -> DetailCanvas:
    """Average the logits of equally large windows on one grid (HRDA, Hoyer et al., ECCV 2022, section 3.4).

    The grid has as many cells per pixel as the windows. Logits of a window whose edges fall between cells are
    resized to the nearest cells.

    Args:
        tiles: Logits of all windows, shape (N * B, K, h, w), window after window.
        windows: The N windows in pixels of the image, all of one size.
        size: Height and width of the image in pixels.

    Returns:
        The canvas, in at least single precision.
    """
    height, width = tiles.shape[-2:]
    grid = (
        max(round(size[0] * height / windows[0].height), 1),
        max(round(size[1] * width / windows[0].width), 1),
    )
    batch_size = tiles.shape[0] // len(windows)
    total = tiles.new_zeros((batch_size, tiles.shape[1], *grid), dtype=torch.promote_types(tiles.dtype, torch.float32))
    count = total.new_zeros((1, 1, *grid))
    for tile, window in zip(tiles.chunk(len(windows)), windows, strict=True):
        cells = to_grid(window, size, grid)
        if (cells.height, cells.width) != (height, width):
            tile = F.interpolate(tile, (cells.height, cells.width), mode='bilinear', align_corners=False)
        rows, columns = cells.slices
        total[:, :, rows, columns] += tile
        count[:, :, rows, columns] += 1
    return DetailCanvas(total / count.clamp(min=1), _hull(windows), size)


def _cells(start: int, stop: int, length: int, cells: int) -> tuple[int, int]:
    first = min((2 * start * cells + length) // (2 * length), cells - 1)
    return first, max((2 * stop * cells + length) // (2 * length), first + 1)


def _hull(windows: Sequence[Box]) -> Box:
    tops, lefts, bottoms, rights = zip(*windows, strict=True)
    return Box(min(tops), min(lefts), max(bottoms), max(rights))
