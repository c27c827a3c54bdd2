"""Codes of a label raster on the pixels of an image, warped onto them where it has others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.raster.grid import Grid
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import import_rasterio
from dlc_mmseg.windows import Box

NO_LABEL = -1
"""Code where a label raster does not reach."""
LARGEST_CODE = 65535
_SAME = 0.01
"""Part of a pixel by which two grids may differ and still be the same."""
_MARGIN = 2


def codes_of(stored: NDArray[Any], where: object) -> NDArray[np.int32]:
    """Codes of label pixels.

    Args:
        stored: Bands (C, H, W): one of values, two of values and alpha, three or four of colours, of 8 bits.
        where: The file, for messages.

    Returns:
        Values, or colours as ``65536 red + 256 green + blue``, (H, W); -1 where alpha is 0, or a value is none of
        ``0..LARGEST_CODE``.

    Raises:
        UserError: If the bands can be no labels.
    """
    bands = len(stored)
    if bands > 4 or (bands > 2 and stored.dtype != np.uint8):
        what = f'has {bands} bands of {stored.dtype}: no labels'
        raise UserError(where, what, 'give one band of class values, or three of colours of 8 bits')
    if stored.dtype.kind == 'b':
        stored = stored.astype(np.uint8)
    first = stored[0]
    if first.dtype.kind == 'f':
        finite = np.isfinite(first)
        if (first[finite] % 1 != 0).any():
            raise UserError(where, 'holds fractions: no labels', 'give whole numbers, one per class')
        first = np.where(finite, first, NO_LABEL)
    elif first.dtype.kind not in 'iu':
        raise UserError(where, f'holds {first.dtype} values: no labels', 'give whole numbers, one per class')
    if bands <= 2:
        inside = (first >= 0) & (first <= LARGEST_CODE)
        codes = np.where(inside, first, NO_LABEL).astype(np.int32)
    else:
        red, green, blue = (band.astype(np.int32) for band in stored[:3])
        codes = red << 16 | green << 8 | blue
    if bands in (2, 4):
        codes[stored[-1] == 0] = NO_LABEL
    return codes


class RasterLabels:
    """A label raster, read on the pixels of an image.

    Args:
        file: Dataset of rasterio.
        grid: Pixels of the image.

    Raises:
        UserError: If it cannot be brought onto these pixels.
    """

    def __init__(self, file: Any, grid: Grid) -> None:
        self._file = file
        self._grid = grid
        self._aligned = _aligned(file, grid)
        sizes = f'has {file.height} x {file.width} pixels, its image {grid.stored[0]} x {grid.stored[1]}'
        if not self._aligned and (file.crs is None) != (grid.crs is None):
            what = f'{sizes}, and only one of them has a reference system'
            raise UserError(file.name, what, 'give both the same reference system')
        if not self._aligned and not grid.georeferenced:
            raise UserError(file.name, f'{sizes}, and neither says where it lies', 'give the label of this image')

    def codes(self, box: Box) -> NDArray[np.int32]:
        """Codes of a box of the grid, (height, width); -1 where there is no label."""
        return self._same_pixels(box) if self._aligned else self._warped(box)

    def _same_pixels(self, box: Box) -> NDArray[np.int32]:
        nearest = import_rasterio(self._file.name).enums.Resampling.nearest
        window = self._grid.window(box)
        shape = (self._file.count, box.height, box.width)
        return codes_of(self._file.read(window=window, out_shape=shape, resampling=nearest), self._file.name)

    def _warped(self, box: Box) -> NDArray[np.int32]:
        """Nearest label pixels; all codes travel as they are, the raster's nodata value too."""
        rasterio = import_rasterio(self._file.name)
        target = np.full((box.height, box.width), NO_LABEL, np.int32)
        bounds = rasterio.transform.array_bounds(box.height, box.width, self._grid.transform_of(box))
        if self._grid.crs is not None:
            bounds = rasterio.warp.transform_bounds(self._grid.crs, self._file.crs, *bounds)
        window = rasterio.windows.from_bounds(*bounds, transform=self._file.transform)
        left, top = int(window.col_off) - _MARGIN, int(window.row_off) - _MARGIN
        right, bottom = left + int(window.width) + 2 * _MARGIN + 1, top + int(window.height) + 2 * _MARGIN + 1
        left, right = max(left, 0), min(right, self._file.width)
        top, bottom = max(top, 0), min(bottom, self._file.height)
        if right <= left or bottom <= top:
            return target
        needed = rasterio.windows.Window(left, top, right - left, bottom - top)
        rasterio.warp.reproject(
            codes_of(self._file.read(window=needed), self._file.name),
            target,
            src_transform=self._file.window_transform(needed),
            src_crs=self._file.crs or 'EPSG:3857',  # without a system on either side, any but the same one on both
            dst_transform=self._grid.transform_of(box),
            dst_crs=self._grid.crs or 'EPSG:3857',
            resampling=rasterio.enums.Resampling.nearest,
            init_dest_nodata=False,
        )
        return target


def _aligned(file: Any, grid: Grid) -> bool:
    """Whether file and grid cover the same ground, pixel by pixel of the image as it is stored."""
    if (file.height, file.width) != grid.stored:
        return False
    if file.transform.is_identity or not grid.georeferenced or file.crs is None or grid.crs is None:
        return True
    ends = [(0, 0), (1, 0), (0, 1), (1, 1)]
    corners = [grid.transform * (x * grid.size[1], y * grid.size[0]) for x, y in ends]
    places = [~file.transform * corner for corner in corners]
    away = [max(abs(u - x * file.width), abs(v - y * file.height)) for (x, y), (u, v) in zip(ends, places, strict=True)]
    return bool(file.crs == grid.crs) and max(away) < _SAME
