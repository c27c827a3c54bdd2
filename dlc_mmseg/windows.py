"""Sliding windows: one geometry for HRDA, inference, converters and rasters."""

from __future__ import annotations

from typing import NamedTuple


class Box(NamedTuple):
    """Axis-aligned pixel box, half open: rows ``top..bottom-1`` and columns ``left..right-1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slice of the box."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def _starts(length: int, window: int, stride: int) -> list[int]:
    if length <= window:
        return [0]
    return [*range(0, length - window, stride), length - window]


def sliding_windows(size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> list[Box]:
    """Windows that cover an image, row by row; the last one of a row or column ends at the border.

    Args:
        size: Image height and width in pixels.
        window: Window height and width in pixels. An axis shorter than the window gets one window of
            the axis' own length.
        stride: Steps in pixels between neighbouring windows, at most the window for full coverage.

    Returns:
        Boxes in row-major order; a 6000 px axis at window 512 and stride 256 has 23 positions.

    Raises:
        ValueError: If a length is not positive or a stride exceeds its window.

    Example:
        >>> [box.left for box in sliding_windows((512, 1000), (512, 512), (256, 256))]
        [0, 256, 488]
    """
    if min(*size, *window, *stride) < 1:
        raise ValueError(f'size {size}, window {window} and stride {stride} must be positive')
    if stride[0] > window[0] or stride[1] > window[1]:
        raise ValueError(f'stride {stride} exceeds window {window}: pixels between windows would be left out')
    height, width = min(size[0], window[0]), min(size[1], window[1])
    return [
        Box(top, left, top + height, left + width)
        for top in _starts(size[0], window[0], stride[0])
        for left in _starts(size[1], window[1], stride[1])
    ]
