"""Pixels on the ground, against known distances on the earth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from rasters import UTM, write_raster

from dlc_mmseg.converters.raster.grid import grid_of, ground_pixel_size
from dlc_mmseg.files.rasters import open_raster
from dlc_mmseg.windows import Box

rasterio = pytest.importorskip('rasterio')


def raster(tmp_path, transform, crs, size=(40, 60)):
    return write_raster(tmp_path / 'a.tif', np.zeros(size, np.uint8), transform=transform, crs=crs)


@pytest.mark.parametrize(
    ('crs', 'place', 'step', 'expected'),
    [
        (UTM, (500_000, 5_000_000), 0.25, 0.25),
        ('EPSG:2263', (1_000_000, 200_000), 1.0, 0.3048),  # feet
        ('EPSG:3857', (1_669_792, 8_399_738), 1.0, math.cos(math.radians(60.0))),  # web mercator at 60 degrees north
        ('EPSG:4326', (15.0, 0.001), 1e-5, 1.10946),  # degrees at the equator: 1.11319 m east, 1.10574 m north
        (None, (500_000, 5_000_000), 0.5, 0.5),  # a world file, whose units nobody names
        (None, (15.0, 0.001), 1e-5, 1.10946),
    ],
)
def test_pixel_size_on_the_ground(tmp_path, crs, place, step, expected):
    transform = rasterio.transform.from_origin(*place, step, step)
    with open_raster(str(raster(tmp_path, transform, crs))) as file:
        assert ground_pixel_size(file) == pytest.approx(expected, rel=2e-3)


def test_without_georeference_it_is_unknown(tmp_path):
    with open_raster(str(write_raster(tmp_path / 'a.tif', np.zeros((4, 4), np.uint8)))) as file:
        assert ground_pixel_size(file) is None


def test_a_turned_raster_has_the_pixels_of_the_straight_one(tmp_path):
    transform = rasterio.transform.from_origin(5e5, 5e6, 0.5, 0.5) * rasterio.Affine.rotation(30)
    with open_raster(str(raster(tmp_path, transform, UTM))) as file:
        assert ground_pixel_size(file) == pytest.approx(0.5, rel=1e-3)


def test_a_coarser_grid_covers_the_same_ground(tmp_path):
    transform = rasterio.transform.from_origin(5e5, 5e6, 0.5, 0.5)
    with open_raster(str(raster(tmp_path, transform, UTM, (41, 60)))) as file:
        grid = grid_of(file, 2.0)
        corner = file.transform * (60, 41)
    assert grid.size == (20, 30)
    assert grid.transform * (30, 20) == pytest.approx(corner)
    window = grid.window(Box(10, 0, 20, 15))
    assert (window.row_off, window.col_off, window.height, window.width) == (20.5, 0, 20.5, 30)
    assert grid.transform_of(Box(10, 0, 20, 15)) * (0, 0) == pytest.approx(grid.transform * (0, 10))
