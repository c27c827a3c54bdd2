"""The pixels of a raster, or of a coarser or finer version of it, and how large they are on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dlc_mmseg.files.rasters import import_rasterio
from dlc_mmseg.windows import Box

_EQUATOR, _ECCENTRICITY_SQUARED = 6_378_137.0, 0.006_694_379_99
"""Of the ellipsoid of WGS 84: semi-major axis in metres, and the square of its first eccentricity."""
_LARGEST_DEGREE = 1e-3
"""Pixels below it, at a place that can be a longitude and latitude, are taken for degrees where nothing says so."""


@dataclass(frozen=True)
class Grid:
    """Pixels that tiles are cut from.

    Attributes:
        size: Height and width in pixels.
        stored: Height and width of the file; larger than ``size`` if the grid is coarser.
        transform: Affine transform from pixel to map coordinates.
        crs: Reference system of rasterio; None where the file names none.
    """

    size: tuple[int, int]
    stored: tuple[int, int]
    transform: Any
    crs: Any

    @property
    def factors(self) -> tuple[float, float]:
        """Pixels of the file per pixel of the grid, down and across."""
        return self.stored[0] / self.size[0], self.stored[1] / self.size[1]

    @property
    def georeferenced(self) -> bool:
        """Whether the place on the ground is known."""
        return self.crs is not None or not self.transform.is_identity

    def window(self, box: Box) -> Any:
        """Window of rasterio, in pixels of the file, of a box of the grid."""
        down, across = self.factors
        return import_rasterio('grid').windows.Window(
            box.left * across, box.top * down, box.width * across, box.height * down
        )

    def transform_of(self, box: Box) -> Any:
        """Affine transform of a box."""
        return self.transform * self.transform.translation(box.left, box.top)


def grid_of(file: Any, factor: float = 1.0) -> Grid:
    """Grid of an open raster.

    Args:
        file: Dataset of rasterio.
        factor: Pixels of the file per pixel of the grid: 2 makes the grid twice as coarse.

    Returns:
        A grid that covers the raster.
    """
    size = (max(1, round(file.height / factor)), max(1, round(file.width / factor)))
    scaled = file.transform * file.transform.scale(file.width / size[1], file.height / size[0])
    transform = file.transform if file.transform.is_identity else scaled
    return Grid(size, (file.height, file.width), transform, file.crs)


def ground_pixel_size(file: Any) -> float | None:
    """Side of a pixel on the ground, at the middle of a raster.

    Args:
        file: Dataset of rasterio. Without a reference system its units are taken for metres, or for degrees where
            only these make sense.

    Returns:
        Metres, the geometric mean of both directions; None if the raster is not georeferenced.
    """
    transform, crs = file.transform, file.crs
    if transform.is_identity:
        return None
    points = [transform * (file.width / 2 + x, file.height / 2 + y) for x, y in ((0, 0), (1, 0), (0, 1))]
    if crs is not None:
        rasterio = import_rasterio(file.name)
        try:
            longitudes, latitudes = rasterio.warp.transform(crs, 'EPSG:4326', *map(list, zip(*points, strict=True)))
        except (rasterio.errors.RasterioError, ValueError):  # a local system without a place on the globe
            return _planar(points) * float(getattr(crs, 'linear_units_factor', (None, 1.0))[1])
        return _on_ellipsoid(list(zip(longitudes, latitudes, strict=True)))
    return plain_pixel_size(points)


def plain_pixel_size(points: list[tuple[float, float]]) -> float:
    """Side of a pixel in units that nobody names.

    Args:
        points: A point, its right and its lower neighbour in map coordinates.

    Returns:
        Metres: the units themselves, unless they can only be degrees.
    """
    size, (x, y) = _planar(points), points[0]
    return _on_ellipsoid(points) if size < _LARGEST_DEGREE and abs(x) <= 180 and abs(y) <= 90 else size


def _planar(points: list[tuple[float, float]]) -> float:
    (x, y), *others = points
    return math.sqrt(math.prod(math.hypot(u - x, v - y) for u, v in others))


def _on_ellipsoid(points: list[tuple[float, float]]) -> float:
    """The same for longitudes and latitudes in degrees, by the radii of curvature at the first point."""
    latitude = math.radians(points[0][1])
    bulge = 1 - _ECCENTRICITY_SQUARED * math.sin(latitude) ** 2
    along_parallel = math.radians(_EQUATOR * math.cos(latitude) / math.sqrt(bulge))
    along_meridian = math.radians(_EQUATOR * (1 - _ECCENTRICITY_SQUARED) / bulge**1.5)
    return _planar([(x * along_parallel, y * along_meridian) for x, y in points])
