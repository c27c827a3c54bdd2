"""An image classified window by window and blended into strips of final scores, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby, pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dlc_mmseg.datasets.raster_reading import Raster
from dlc_mmseg.errors import UserError
from dlc_mmseg.functional.window_canvas import WindowCanvas
from dlc_mmseg.functional.window_taper import cosine_taper
from dlc_mmseg.functional.windows import Box, sliding_windows

_MULTIPLE = 32
"""Images smaller than a window are mirrored up to a multiple of this, which every usual network takes."""
_MEBIBYTE = 2**20


class Rows(Protocol):
    """An image of which parts are read, such as `ImageRows`."""

    size: tuple[int, int]
    channels: int

    def read(self, top: int, bottom: int, left: int, right: int) -> Raster:
        """Pixels and nodata of a part."""


class Tiling(NamedTuple):
    """How an image is cut.

    Attributes:
        window: Height and width of windows in pixels.
        overlap: Rows and columns that neighbours share, less than a window.
        batch_size: Windows that go through the network at once.
        memory: MiB for the rows of an image that are being worked on; wide images are cut into bands of columns.
    """

    window: tuple[int, int] = (512, 512)
    overlap: tuple[int, int] = (128, 128)
    batch_size: int = 1
    memory: int = 512

    @property
    def stride(self) -> tuple[int, int]:
        """Rows and columns from one window to the next."""
        return self.window[0] - self.overlap[0], self.window[1] - self.overlap[1]


class Position(NamedTuple):
    """How far an image is done.

    Attributes:
        band: Bands of columns that are finished.
        row: Rows of the next one that are finished.
    """

    band: int = 0
    row: int = 0


class Strip(NamedTuple):
    """Final scores of some rows of a band.

    Attributes:
        box: Where they lie in the image.
        scores: Shape (K, h, w), float32, on the CPU.
        nodata: Shape (h, w), bool.
        position: How far the image is done with this strip.
    """

    box: Box
    scores: Tensor
    nodata: NDArray[np.bool_]
    position: Position


Classify = Callable[[Tensor, Tensor], Tensor]
"""From windows (B, C, h, w) and their nodata (B, h, w) to scores (B, K, h, w)."""


def column_bands(width: int, num_classes: int, channels: int, tiling: Tiling) -> list[tuple[int, int]]:
    """Bands of columns narrow enough for the memory that is given; windows do not depend on them.

    Args:
        width: Of the image, in pixels.
        num_classes: Number of classes K.
        channels: Channels of the image.
        tiling: How it is cut.

    Returns:
        First column and the one after the last, of each band.

    Raises:
        UserError: If not even a band of two windows fits.
    """
    rows = tiling.window[0]
    # sums, weights and their copy when they move on, pixels as read and as float32, nodata
    column = rows * (8 * (num_classes + 1) + 8 * channels + 2)
    most = tiling.memory * _MEBIBYTE // column
    least = 2 * tiling.window[1]
    if most < min(least, width):
        needed = -(-column * least // _MEBIBYTE)
        what = f'{tiling.memory} MiB hold {most} columns of {num_classes} classes, less than two windows'
        raise UserError('--memory', what, f'give at least {needed}, or smaller windows')
    number = -(-width // most)
    edges = [round(width * index / number) for index in range(number + 1)]
    return list(pairwise(edges))


def count_windows(size: tuple[int, int], num_classes: int, channels: int, tiling: Tiling) -> int:
    """Windows that an image takes; those across the border of two bands count twice.

    Args:
        size: Its height and width.
        num_classes: Number of classes K.
        channels: Channels of the image.
        tiling: How it is cut.
    """
    bands = column_bands(size[1], num_classes, channels, tiling)
    return sum(len(_windows_of(size, band, tiling)) for band in bands)


def blended_strips(
    image: Rows,
    classify: Classify,
    num_classes: int,
    tiling: Tiling,
    *,
    start: Position | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Iterator[Strip]:
    """Classify an image window by window; overlaps are blended with a squared cosine.

    Windows lie on one grid whatever the memory, so that the result depends on it in no way. Windows without any data
    are not classified.

    Args:
        image: The image.
        classify: The network.
        num_classes: Number of classes K.
        tiling: How the image is cut.
        start: Where an earlier run stopped.
        advance: Told the number of windows that are done.

    Yields:
        Strips, band by band from top to bottom; the scores are valid until the next one is asked for.
    """
    start = start or Position()
    for number, band in enumerate(column_bands(image.size[1], num_classes, image.channels, tiling)):
        boxes = _windows_of(image.size, band, tiling)
        if number < start.band:
            advance(len(boxes))
            continue
        first = start.row if number == start.band else 0
        for box, scores, nodata in _strips_of_band(image, classify, num_classes, tiling, band, boxes, first, advance):
            done = Position(number + 1) if box.bottom == image.size[0] else Position(number, box.bottom)
            yield Strip(box, scores, nodata, done)


def _windows_of(size: tuple[int, int], band: tuple[int, int], tiling: Tiling) -> list[Box]:
    boxes = sliding_windows(size, tiling.window, tiling.stride)
    return [box for box in boxes if box.left < band[1] and box.right > band[0]]


def _strips_of_band(
    image: Rows,
    classify: Classify,
    num_classes: int,
    tiling: Tiling,
    band: tuple[int, int],
    boxes: list[Box],
    first: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[Box, Tensor, NDArray[np.bool_]]]:
    """Strips of one band from a row on; windows that end above it are not needed any more."""
    needed = [box for box in boxes if box.bottom > first]
    advance(len(boxes) - len(needed))
    left, right = band
    origin, height = needed[0].top, image.size[0]
    canvas = WindowCanvas(1, num_classes, (height - origin, right - left), rows=tiling.window[0])
    taper = cosine_taper((boxes[0].height, boxes[0].width), tiling.overlap)
    held = _HeldRows(image, min(box.left for box in needed), max(box.right for box in needed))
    done = origin

    def finish(bottom: int) -> Iterator[tuple[Box, Tensor, NDArray[np.bool_]]]:
        scores, top = canvas.take(bottom - origin)[0], max(done, first)
        if bottom > top:
            box = Box(top, left, bottom, right)
            yield box, scores[:, top - done :], held.nodata(box)

    for top, row in groupby(needed, key=lambda box: box.top):
        yield from finish(top)
        done = top
        windows = list(row)
        held.move_to(top, windows[0].bottom)
        for start in range(0, len(windows), tiling.batch_size):
            chunk = windows[start : start + tiling.batch_size]
            for box, scores in zip(chunk, _classified(held, chunk, classify, num_classes), strict=True):
                inner = slice(max(left - box.left, 0), min(right, box.right) - box.left)
                columns = max(box.left, left) - left, min(box.right, right) - left
                place = Box(box.top - origin, columns[0], box.bottom - origin, columns[1])
                canvas.add(scores[None, :, :, inner], place, taper[:, inner])
            advance(len(chunk))
    yield from finish(height)


def _classified(held: _HeldRows, boxes: list[Box], classify: Classify, num_classes: int) -> list[Tensor]:
    """Scores (K, h, w) of windows on the CPU; zeros, which nobody will see, for those without any data."""
    rasters = [held.window(box) for box in boxes]
    scores = [torch.zeros(num_classes, box.height, box.width) for box in boxes]
    seen = [index for index, raster in enumerate(rasters) if not raster.nodata.all()]
    if seen:
        height, width = boxes[0].height, boxes[0].width
        images = torch.stack([_mirrored(rasters[index].image) for index in seen])
        nodata = torch.stack([_mirrored(rasters[index].nodata[..., None])[0] > 0 for index in seen])
        found = classify(images, nodata)[:, :, :height, :width].cpu()
        for index, score in zip(seen, found, strict=True):
            scores[index] = score
    return scores


def _mirrored(pixels: NDArray[Any]) -> Tensor:
    """Shape (C, h, w), float32; sides are mirrored up to a multiple of 32."""
    missing = [-length % _MULTIPLE for length in pixels.shape[:2]]
    if any(missing):
        pixels = np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode='symmetric')
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0), dtype=np.float32))


class _HeldRows:
    """Rows of an image that the windows of one row need; each is read once."""

    def __init__(self, image: Rows, left: int, right: int) -> None:
        self._image = image
        self._left, self._right = left, right
        self._top = self._bottom = 0
        self._raster: Raster | None = None

    def move_to(self, top: int, bottom: int) -> None:
        """Hold the rows from ``top`` to ``bottom``."""
        if self._raster is None or top >= self._bottom:
            self._raster = self._read(top, bottom)
        else:
            kept, new = (part[top - self._top :] for part in self._raster), self._read(self._bottom, bottom)
            self._raster = Raster(*(np.concatenate(pair) for pair in zip(kept, new, strict=True)))
        self._top, self._bottom = top, bottom

    def window(self, box: Box) -> Raster:
        """Pixels and nodata of a window."""
        assert self._raster is not None
        rows = slice(box.top - self._top, box.bottom - self._top)
        columns = slice(box.left - self._left, box.right - self._left)
        return Raster(self._raster.image[rows, columns], self._raster.nodata[rows, columns])

    def nodata(self, box: Box) -> NDArray[np.bool_]:
        """Pixels without data of a part."""
        return self.window(box).nodata

    def _read(self, top: int, bottom: int) -> Raster:
        return self._image.read(top, bottom, self._left, self._right)
