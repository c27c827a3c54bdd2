"""Georeferenced rasters that are written strip by strip, survive a kill, and end as cloud-optimised GeoTIFFs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dlc_mmseg.files.atomic_writing import atomic_path
from dlc_mmseg.files.rasters import import_rasterio
from dlc_mmseg.functional.windows import Box

CACHE_MEBIBYTES = 64
"""GDAL's block cache, which by default is a twentieth of the machine's memory."""
_BLOCK = 256
_COG_BLOCK = 512


class Georeference(NamedTuple):
    """Where a raster lies.

    Attributes:
        crs: Coordinate reference system; None if unknown.
        transform: Affine transform from columns and rows to coordinates; None if unknown.
        gcps: Ground control points and their reference system, where these stand in place of a transform.
    """

    crs: Any
    transform: Any
    gcps: tuple[Sequence[Any], Any]


class Layer(NamedTuple):
    """One raster to write.

    Attributes:
        path: Where it shall lie in the end.
        dtype: Type of its values.
        nodata: Value of pixels without data.
        names: Name of each band.
        overviews: Resampling of overviews, as GDAL names it.
        scale: Factor from stored values to what they mean.
        colours: RGB by value, of a single band; empty for none.
        tags: Metadata.
    """

    path: Path
    dtype: str
    nodata: float
    names: Sequence[str]
    overviews: str
    scale: float = 1.0
    colours: Mapping[int, Sequence[int]] = {}
    tags: Mapping[str, str] = {}


def georeference(file: Any) -> Georeference:
    """Where an open raster lies.

    Args:
        file: Dataset of rasterio.
    """
    return Georeference(file.crs, None if file.transform.is_identity else file.transform, file.gcps)


@contextmanager
def gdal_settings() -> Iterator[None]:
    """GDAL with a small cache, without warnings of rasters that lie nowhere."""
    import warnings

    rasterio = import_rasterio('maps')
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MEBIBYTES, GDAL_NUM_THREADS='ALL_CPUS'), warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        yield


def part_path(path: Path) -> Path:
    """The file that a raster is written to before it takes its name.

    Args:
        path: Its name in the end.
    """
    return path.with_name(f'.{path.name}.unfinished')


class PartialRaster:
    """A raster being written: uncompressed, of fixed layout, so that a kill damages at most the strip being written.

    Args:
        layer: What it is.
        size: Height and width in pixels.
        place: Where it lies.
        keep: Whether to go on with what an earlier run left.
    """

    def __init__(self, layer: Layer, size: tuple[int, int], place: Georeference, *, keep: bool) -> None:
        self.layer = layer
        self.part = part_path(layer.path)
        self._file: Any = None
        if not keep:
            self._create(size, place)

    def _create(self, size: tuple[int, int], place: Georeference) -> None:
        rasterio, layer = import_rasterio(self.part), self.layer
        self.part.parent.mkdir(parents=True, exist_ok=True)
        self.part.unlink(missing_ok=True)
        profile = {
            'driver': 'GTiff',
            'height': size[0],
            'width': size[1],
            'count': len(layer.names),
            'dtype': layer.dtype,
            'nodata': layer.nodata,
            'crs': place.crs,
            'transform': place.transform,
            'interleave': 'band',
            'BIGTIFF': 'IF_SAFER',
            'SPARSE_OK': True,
        }
        if min(size) >= _BLOCK:
            profile.update(tiled=True, blockxsize=_BLOCK, blockysize=_BLOCK)
        with rasterio.open(self.part, 'w', **profile) as file:
            for number, name in enumerate(layer.names, 1):
                file.set_band_description(number, name)
            if layer.scale != 1:
                file.scales = [layer.scale] * len(layer.names)
            if layer.colours:
                file.write_colormap(1, {value: (*colour, 255) for value, colour in layer.colours.items()})
            if place.transform is None and place.gcps[0]:
                file.gcps = place.gcps
            file.update_tags(**layer.tags)

    def write(self, values: NDArray[Any], box: Box) -> None:
        """Write a part.

        Args:
            values: Shape (bands, h, w).
            box: Where it lies.
        """
        from rasterio.windows import Window

        if self._file is None:
            self._file = import_rasterio(self.part).open(self.part, 'r+')
        self._file.write(values, window=Window(box.left, box.top, box.width, box.height))

    def flush(self) -> None:
        """Bring everything to the disk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def finish(self) -> None:
        """Turn it into a cloud-optimised GeoTIFF of its name, and remove the part."""
        self.flush()
        from rasterio.shutil import copy  # type: ignore[import-not-found]

        layer = self.layer
        predictor = 'YES' if layer.dtype.startswith('float') else 'NO'
        with atomic_path(layer.path) as ready:
            copy(
                self.part,
                ready,
                driver='COG',
                COMPRESS='DEFLATE',
                PREDICTOR=predictor,
                BLOCKSIZE=_COG_BLOCK,
                OVERVIEW_RESAMPLING=layer.overviews,
                RESAMPLING=layer.overviews,
                BIGTIFF='IF_SAFER',
                NUM_THREADS='ALL_CPUS',
            )
        self.part.unlink()

    def discard(self) -> None:
        """Remove the part."""
        with suppress(Exception):
            self.flush()
        self.part.unlink(missing_ok=True)
