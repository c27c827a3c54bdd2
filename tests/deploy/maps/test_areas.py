from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from dlc_mmseg.deploy.maps.areas import AreaMeasure
from dlc_mmseg.deploy.maps.map_file import Georeference

NOWHERE = ([], None)
EARTH = 510_065_621.724e6


def measure(crs: str | None, transform: Affine | None) -> AreaMeasure:
    return AreaMeasure(Georeference(crs and CRS.from_user_input(crs), transform, NOWHERE))


@pytest.mark.parametrize('rotation', [0, 30])
def test_projected_pixels(rotation):
    transform = Affine.translation(500_000, 5e6) * Affine.rotation(rotation) * Affine.scale(0.5, -0.25)
    np.testing.assert_allclose(measure('EPSG:32633', transform).of_rows((3, 4)), [0.125] * 3)


def test_feet_become_metres():
    foot = 1200 / 3937  # the US survey foot of New York's state plane
    areas = measure('EPSG:2263', Affine.scale(2, -2)).of_rows((2, 2))
    np.testing.assert_allclose(areas, [4 * foot**2] * 2)


def test_the_world_in_degrees():
    areas = measure('EPSG:4326', Affine.translation(-180, 90) * Affine.scale(0.5, -0.5)).of_rows((360, 720))
    assert areas.sum() * 720 == pytest.approx(EARTH, rel=1e-9)
    assert areas[0] < areas[180] / 100  # at the pole and at the equator


def test_web_mercator_is_not_taken_at_its_word():
    """A square of web mercator in Oslo covers a quarter of what its coordinates say."""
    to_mercator = 6378137 * np.radians(1)
    x, y = 10.75 * to_mercator, 6378137 * np.log(np.tan(np.pi / 4 + np.radians(59.91) / 2))
    mercator = measure('EPSG:3857', Affine.translation(x, y) * Affine.scale(1, -1)).of_rows((2, 2))
    degrees = measure('EPSG:4326', Affine.translation(10.75, 59.91) * Affine.scale(1e-5, -1e-5)).of_rows((2, 2))
    wide, high = 1e-5 * to_mercator, 1e-5 * to_mercator / np.cos(np.radians(59.91))
    np.testing.assert_allclose(mercator, degrees / (wide * high), rtol=1e-4)
    assert mercator[0] == pytest.approx(np.cos(np.radians(59.91)) ** 2, rel=0.01)


@pytest.mark.parametrize('crs', ['EPSG:32633', 'EPSG:4326', 'EPSG:3857', 'EPSG:2263'])
def test_polygons_along_pixels_equal_the_sum_of_their_pixels(crs):
    step = 1e-4 if crs == 'EPSG:4326' else 0.5
    transform = Affine.translation(10, 50) * Affine.scale(step, -step)
    ruler = measure(crs, transform)
    corners = [(2, 1), (2, 7), (9, 7), (9, 1), (2, 1)]
    hole = [(3, 2), (4, 2), (4, 4), (3, 4), (3, 2)]
    rings = [[transform * corner for corner in ring] for ring in (corners, hole)]
    rows = ruler.of_rows((20, 20))
    assert ruler.of_polygon(rings) == pytest.approx(rows[1:7].sum() * 7 - rows[2:4].sum(), rel=1e-6)


def test_a_rotated_geographic_raster_has_the_area_of_its_pixels():
    turned = Affine.translation(10, 50) * Affine.rotation(90) * Affine.scale(1e-4, -1e-4)
    plain = Affine.translation(10, 50) * Affine.scale(1e-4, -1e-4)
    first, second = (measure('EPSG:4326', transform).of_rows((4, 4)) for transform in (turned, plain))
    np.testing.assert_allclose(first, second.mean(), rtol=1e-4)


def test_unknown_places_have_no_area():
    for ruler in (measure(None, Affine.scale(2, -2)), measure('EPSG:4326', None)):
        assert not ruler.known
        assert ruler.of_rows((2, 2)) is None
        assert ruler.of_polygon([[(0, 0), (1, 0), (1, 1), (0, 0)]]) is None
