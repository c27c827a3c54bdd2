"""Areas of pixels and polygons in square metres, from the georeference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.deploy.maps.map_file import Georeference
from dlc_mmseg.functional.ellipsoid import SEMI_MAJOR_AXIS, equal_area_ordinate

Ring = Sequence[tuple[float, float]]
_MERCATOR = ('merc', 'webmerc')
"""Projections whose planar areas are off by a factor (four in Oslo), as PROJ names them."""


class AreaMeasure:
    """Square metres of what lies in a coordinate reference system.

    In a projected one areas are planar, in its own unit of length. In a geographic one and in Mercator's projection,
    which web maps have, they are those on the ellipsoid WGS 84, exact where sides are parallels and meridians, as those
    of pixels are.

    Args:
        place: Where the raster lies.

    Attributes:
        known: Whether areas are known; without a reference system or a transform they are not.
    """

    def __init__(self, place: Georeference) -> None:
        self._transform, self._crs = place.transform, place.crs
        self.known = place.transform is not None and place.crs is not None
        mercator = self.known and place.crs.to_dict().get('proj') in _MERCATOR
        self._degrees = self.known and bool(place.crs.is_geographic)
        self._ellipsoidal = self._degrees or mercator

    def of_rows(self, size: tuple[int, int]) -> NDArray[np.float64] | None:
        """Area of one pixel of each row, of the middle one where they differ.

        Args:
            size: Height and width of the raster.

        Returns:
            Shape (H,), square metres; None if areas are not known.
        """
        if not self.known:
            return None
        transform = self._transform
        if not self._ellipsoidal:
            return np.full(size[0], abs(transform.determinant) * self._unit() ** 2)
        column, rows = size[1] // 2, np.arange(size[0], dtype=np.float64)
        corner, beside, below = (self._placed(column + right, rows + down) for right, down in ((0, 0), (1, 0), (0, 1)))
        (x, y), (across_x, across_y) = below - corner, beside - corner
        return np.asarray(np.abs(x * across_y - y * across_x), np.float64)

    def of_polygon(self, rings: Sequence[Ring]) -> float | None:
        """Area of a polygon.

        Args:
            rings: Its outline, then its holes, closed, in coordinates of the reference system.

        Returns:
            Square metres; None if areas are not known.
        """
        if not self.known:
            return None
        areas = [self._of_ring(np.asarray(ring, np.float64)) for ring in rings]
        return areas[0] - sum(areas[1:])

    def _of_ring(self, ring: NDArray[np.float64]) -> float:
        points = self._equal_area(ring.T) if self._ellipsoidal else ring.T * self._unit()
        x, y = points - points[:, :1]
        return float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2)

    def _placed(self, column: float, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Equal-area coordinates (2, n) of corners of pixels."""
        transform = self._transform
        xs = transform.a * column + transform.b * rows + transform.c
        ys = transform.d * column + transform.e * rows + transform.f
        return self._equal_area(np.stack([xs, ys]))

    def _equal_area(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates (2, n) in metres in which planar areas are those on the ellipsoid."""
        longitude, latitude = points
        if not self._degrees:
            from rasterio.warp import transform

            longitude, latitude = np.asarray(transform(self._crs, 'EPSG:4326', longitude, latitude)[:2], np.float64)
        latitude = np.radians(np.clip(latitude, -90, 90))
        return np.stack([np.radians(longitude) * SEMI_MAJOR_AXIS, equal_area_ordinate(latitude)])

    def _unit(self) -> float:
        """Metres in a unit of length of the reference system."""
        return float(self._crs.linear_units_factor[1])
