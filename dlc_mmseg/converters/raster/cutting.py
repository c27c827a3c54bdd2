"""Cuts a strip of a raster, and of its labels, into georeferenced tiles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.output import OutputFolder
from dlc_mmseg.converters.raster.grid import Grid, grid_of
from dlc_mmseg.converters.raster.label_coding import IGNORED, LabelCoding
from dlc_mmseg.converters.raster.polygon_labels import PolygonLabels, PolygonReading, Polygons, read_polygons
from dlc_mmseg.converters.raster.raster_labels import NO_LABEL, RasterLabels
from dlc_mmseg.files.rasters import import_rasterio, open_raster
from dlc_mmseg.files.statistics_file import TileStatistics, count_labels
from dlc_mmseg.windows import Box

IMAGES, LABELS = 'img', 'lbl'
SUFFIX = '.tif'
NO_DATA, UNLABELLED = 'without data', 'without labels'
"""Why tiles are left out."""


@dataclass(frozen=True)
class RasterPair:
    """An image and its labels.

    Attributes:
        name: Prefix of its tiles' names.
        image: Raster.
        label: Label raster; None with polygons, or without labels.
    """

    name: str
    image: Path
    label: Path | None = None


@dataclass(frozen=True)
class RasterCutting:
    """How rasters are cut; picklable, as it travels to the worker processes.

    Attributes:
        factor: Pixels of the image per pixel of the tiles; 1 copies them.
        coding: Classes of label rasters.
        polygons: Polygons as labels; neither this nor ``coding``: there are no labels.
        nodata: Value of pixels without data, instead of that of the file.
        keep_unlabelled: Keep tiles without any labelled pixel, as images without a label.
    """

    factor: float = 1.0
    coding: LabelCoding | None = None
    polygons: PolygonReading | None = None
    nodata: float | None = None
    keep_unlabelled: bool = False

    @property
    def labelled(self) -> bool:
        """Whether tiles get labels."""
        return self.coding is not None or self.polygons is not None


def cut_strip(
    unit: str, pair: RasterPair, tiles: dict[str, Box], folder: OutputFolder, cutting: RasterCutting
) -> list[str]:
    """Cut some tiles and mark their strip as done.

    Args:
        unit: Name of the strip.
        pair: Image and labels.
        tiles: Box on the pixels of the tiles by file name.
        folder: Where they belong.
        cutting: How they are cut.

    Returns:
        No remarks.

    Raises:
        UserError: If a file is damaged, labels do not fit the image or the output cannot be written.
    """
    statistics: dict[str, TileStatistics] = {}
    left_out = {NO_DATA: 0, UNLABELLED: 0}
    with open_raster(str(pair.image)) as file, _labels(pair, grid_of(file, cutting.factor), cutting) as labels:
        grid = grid_of(file, cutting.factor)
        for name, box in tiles.items():
            image, valid = _read(file, grid, box, cutting.nodata)
            if not valid.any():
                left_out[NO_DATA] += 1
                continue
            if labels is not None:
                indices = _class_indices(labels.codes(box), cutting)
                if not (indices[valid] == IGNORED).all():
                    statistics[name] = TileStatistics((box.height, box.width), count_labels(indices))
                    folder.write(LABELS, '', name, _encoded_labels(indices, grid, box, _palette(cutting)))
                elif not cutting.keep_unlabelled:
                    left_out[UNLABELLED] += 1
                    continue
            folder.write(IMAGES, '', name, _encoded_image(image, valid, file, grid, box, cutting.nodata))
    folder.mark_done(unit, statistics, {'tiles': len(tiles) - sum(left_out.values()), **left_out})
    return []


@contextmanager
def _labels(pair: RasterPair, grid: Grid, cutting: RasterCutting) -> Iterator[RasterLabels | PolygonLabels | None]:
    if cutting.polygons is not None:
        yield _placed(cutting.polygons, grid, str(pair.image))
    elif cutting.coding is not None and pair.label is not None:
        with open_raster(str(pair.label)) as file:
            yield RasterLabels(file, grid)
    else:
        yield None


@lru_cache(maxsize=2)
def polygons_of(reading: PolygonReading) -> Polygons:
    """Polygons, read once in each process."""
    return read_polygons(reading)


@lru_cache(maxsize=2)
def _placed(reading: PolygonReading, grid: Grid, image: str) -> PolygonLabels:
    return PolygonLabels(polygons_of(reading), grid, image)


def _class_indices(codes: NDArray[np.int32], cutting: RasterCutting) -> NDArray[np.uint8]:
    if cutting.coding is not None:
        return cutting.coding.indices(codes)
    return np.where(codes == NO_LABEL, IGNORED, codes).astype(np.uint8)


def _palette(cutting: RasterCutting) -> tuple[tuple[int, int, int], ...]:
    if cutting.coding is not None:
        return cutting.coding.palette
    return () if cutting.polygons is None else polygons_of(cutting.polygons).palette


def _read(file: Any, grid: Grid, box: Box, nodata: float | None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Bands (C, H, W) of a box, and where they hold data.

    Wholly black collars without a nodata value hold none either, if a tile shows nothing else.
    """
    enums = import_rasterio(file.name).enums
    window, (down, across) = grid.window(box), grid.factors
    shape = (box.height, box.width)
    copied = down == across == 1 or enums.ColorInterp.palette in file.colorinterp
    how = enums.Resampling.average if down > 1 else enums.Resampling.bilinear
    image = file.read(
        window=window, out_shape=(file.count, *shape), resampling=enums.Resampling.nearest if copied else how
    )
    if nodata is not None:
        valid = np.isnan(image) if np.isnan(nodata) else image == nodata
        valid = ~valid.all(0)
    else:
        valid = file.dataset_mask(window=window, out_shape=shape) > 0
    if image.dtype.kind == 'f':
        valid &= np.isfinite(image).all(0)
    return image, valid if image.any() else np.zeros_like(valid)


def _encoded_image(
    image: NDArray[Any], valid: NDArray[np.bool_], file: Any, grid: Grid, box: Box, nodata: float | None
) -> bytes:
    """A tile with the bands, their meaning, type, nodata and place of its raster."""
    enums = import_rasterio(file.name).enums
    kinds, masks = enums.ColorInterp, enums.MaskFlags
    stored = file.nodata if nodata is None else nodata
    predictor = {'f': 3, 'c': 1}.get(image.dtype.kind, 2)
    profile = {'nodata': stored, 'compress': 'deflate', 'predictor': predictor if image.dtype.itemsize < 8 else 1}
    if file.colorinterp[:3] == (kinds.red, kinds.green, kinds.blue):
        profile['photometric'] = 'rgb'
    flags = file.mask_flag_enums[0]
    own_mask = masks.per_dataset in flags and masks.alpha not in flags

    def finish(tile: Any) -> None:
        tile.colorinterp = file.colorinterp
        tile.descriptions, tile.scales, tile.offsets = file.descriptions, file.scales, file.offsets
        if kinds.palette in file.colorinterp:
            tile.write_colormap(1, file.colormap(1))
        if own_mask:
            tile.write_mask(valid)

    return _encoded(image, grid, box, profile, finish)


def _encoded_labels(
    indices: NDArray[np.uint8], grid: Grid, box: Box, palette: tuple[tuple[int, int, int], ...]
) -> bytes:
    def finish(tile: Any) -> None:
        tile.write_colormap(1, {**dict(enumerate(palette)), IGNORED: (0, 0, 0)})

    return _encoded(indices[None], grid, box, {'compress': 'deflate', 'photometric': 'palette'}, finish)


def _encoded(array: NDArray[Any], grid: Grid, box: Box, profile: dict[str, Any], finish: Any) -> bytes:
    rasterio = import_rasterio('tiles')
    count, height, width = array.shape
    place = {'crs': grid.crs, 'transform': grid.transform_of(box)} if grid.georeferenced else {}
    size = {'driver': 'GTiff', 'count': count, 'height': height, 'width': width, 'dtype': array.dtype}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.io.MemoryFile() as memory:
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        with memory.open(**size, **place, **profile) as tile:
            finish(tile)
            tile.write(array)
        return bytes(memory.getbuffer())
