"""Overlapping windows of an image averaged into one map, whole or strip by strip."""

from __future__ import annotations

import torch
from torch import Tensor

from dlc_mmseg.functional.windows import Box


class WindowCanvas:
    """Weighted mean of what overlapping windows say of each pixel.

    Every window is added where it lies, so that time is linear in the image; mean and sum share one buffer. An image
    too large for memory is gone through from top to bottom: with ``rows`` of the canvas' height held at a time, `take`
    gives out the strip above the next row of windows and moves the canvas down. Windows come from `sliding_windows`::

        windows = sliding_windows(size, window, stride)
        canvas = WindowCanvas(1, num_classes, size, rows=window[0])
        for top, row in itertools.groupby(windows, key=lambda box: box.top):
            write(canvas.take(top))  # the strip above this row is final; empty at the first row
            for box in row:
                canvas.add(predict(box), box, weight=taper)
        write(canvas.take(size[0]))

    Args:
        batch_size: Images B, each with the same windows.
        channels: Channels K of a map.
        size: Height and width of the image in pixels.
        rows: Rows held at a time, at least a window's height; None holds the whole image.
        dtype: Floating type of the sums.
        device: Where the canvas lies; windows are copied there.

    Attributes:
        top: First row of the image that the canvas still holds.

    Raises:
        ValueError: If a length is not positive.
    """

    def __init__(
        self,
        batch_size: int,
        channels: int,
        size: tuple[int, int],
        *,
        rows: int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        rows = size[0] if rows is None else min(rows, size[0])
        if min(batch_size, channels, *size, rows) < 1:
            raise ValueError(f'batch {batch_size}, channels {channels}, size {size} and rows {rows} must be positive')
        self.size = size
        self.top = 0
        self._rows = rows
        self._total = torch.zeros(batch_size, channels, rows, size[1], dtype=dtype, device=device)
        self._weight = torch.zeros(rows, size[1], dtype=dtype, device=device)

    def add(self, values: Tensor, box: Box, weight: Tensor | float = 1.0) -> None:
        """Enter what a window says.

        Args:
            values: Shape (B, K, h, w), the box's height and width.
            box: The window in pixels of the image.
            weight: How much its pixels count, >= 0: shape (h, w), or one number for all.

        Raises:
            ValueError: If the box does not lie in the rows that are held.
        """
        if not (self.top <= box.top and box.bottom <= self.top + self._total.shape[2] and box.right <= self.size[1]):
            held = f'rows {self.top} to {self.top + self._total.shape[2]} of {self.size[1]} columns'
            raise ValueError(f'box {tuple(box)} does not lie in the canvas, which holds {held}: hold more rows')
        place = (slice(box.top - self.top, box.bottom - self.top), slice(box.left, box.right))
        values = values.to(self._total.device)
        if isinstance(weight, Tensor):
            weight = weight.to(self._total)
            values = values * weight
        elif weight != 1:
            values = values * weight
        self._total[:, :, place[0], place[1]] += values
        self._weight[place] += weight

    def take(self, bottom: int) -> Tensor:
        """Means of the rows above ``bottom``, which no later window may touch.

        Args:
            bottom: Row of the image, from `top` to the last row held.

        Returns:
            Shape (B, K, bottom - top, W), the canvas' own memory.

        Raises:
            ValueError: If a row is not held or a pixel lies in no window.
        """
        count = bottom - self.top
        if not 0 <= count <= self._total.shape[2]:
            raise ValueError(f'rows {self.top} to {bottom} are not held: at most {self._total.shape[2]} rows are')
        if not bool((self._weight[:count] > 0).all()):
            raise ValueError(f'pixels of the rows {self.top} to {bottom} lie in no window: take a smaller stride')
        means = self._total[:, :, :count].div_(self._weight[:count])
        self._total, self._weight = self._moved(self._total, count, bottom), self._moved(self._weight, count, bottom)
        self.top = bottom
        return means

    def _moved(self, held: Tensor, count: int, bottom: int) -> Tensor:
        """What is held without its first rows, and as many new ones as the image has and there is room for."""
        kept = held[..., count:, :]
        rows = min(self._rows, self.size[0] - bottom)
        if count == 0 or rows == kept.shape[-2]:
            return kept
        moved = held.new_zeros((*held.shape[:-2], rows, held.shape[-1]))
        moved[..., : kept.shape[-2], :] = kept
        return moved
