"""Polygons burnt into images, against rectangles that can be counted."""

from __future__ import annotations

import numpy as np
import pytest
from rasters import UTM, write_raster
from vectors import write_polygons

from dlc_mmseg.converters.raster.grid import grid_of
from dlc_mmseg.converters.raster.polygon_labels import (
    PolygonLabels,
    PolygonReading,
    choose_layer,
    list_attributes,
    read_polygons,
)
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import open_raster
from dlc_mmseg.windows import Box

rasterio = pytest.importorskip('rasterio')
LEFT, TOP = 500_000.0, 5_000_000.0


@pytest.fixture
def grid(tmp_path):
    transform = rasterio.transform.from_origin(LEFT, TOP, 1, 1)
    path = write_raster(tmp_path / 'image.tif', np.ones((20, 30), np.uint8), crs=UTM, transform=transform)
    with open_raster(str(path)) as file:
        return grid_of(file)


def rectangle(top, left, bottom, right):
    """Rows and columns to map coordinates."""
    return LEFT + left, TOP - bottom, LEFT + right, TOP - top


@pytest.mark.parametrize('name', ['a.gpkg', 'a.geojson', 'a.shp', 'a.fgb'])
def test_polygons_of_every_usual_format(tmp_path, grid, name):
    boxes = [rectangle(2, 3, 6, 10), rectangle(5, 8, 12, 20)]
    path = write_polygons(tmp_path / name, boxes, use=['tree', 'house'])
    polygons = read_polygons(PolygonReading(path, attribute='use'))
    assert polygons.classes == ('house', 'tree')
    codes = PolygonLabels(polygons, grid, 'image').codes(Box(0, 0, 20, 30))
    expected = np.full((20, 30), -1)
    if name == 'a.fgb':  # sorted by place in this format: the other one may lie on top
        codes[5:6, 8:10] = 0
    expected[2:6, 3:10] = 1
    expected[5:12, 8:20] = 0
    assert codes.tolist() == expected.tolist()
    part = PolygonLabels(polygons, grid, 'image').codes(Box(4, 6, 9, 12))
    if name != 'a.fgb':
        assert part.tolist() == expected[4:9, 6:12].tolist()


def test_another_reference_system_is_brought_into_that_of_the_image(tmp_path, grid):
    from rasterio.warp import transform_bounds

    west, south, east, north = transform_bounds(UTM, 'EPSG:4326', *rectangle(5, 5, 15, 25))
    path = write_polygons(tmp_path / 'a.geojson', [(west, south, east, north)], crs='EPSG:4326')
    codes = PolygonLabels(read_polygons(PolygonReading(path)), grid, 'image').codes(Box(0, 0, 20, 30))
    assert codes[5:15, 5:25].all()
    assert codes.sum() == pytest.approx(200, abs=4)


def test_one_class_has_a_background(tmp_path, grid):
    path = write_polygons(tmp_path / 'houses.gpkg', [rectangle(0, 0, 4, 4)], height=[3])
    polygons = read_polygons(PolygonReading(path))
    assert polygons.classes == ('background', 'houses')
    codes = PolygonLabels(polygons, grid, 'image').codes(Box(0, 0, 20, 30))
    assert codes.sum() == 16
    assert (PolygonLabels(polygons, grid, 'image').codes(Box(10, 10, 12, 12)) == 0).all()
    assert read_polygons(PolygonReading(path, background='ground')).classes == ('ground', 'houses')


def test_numbers_and_missing_values(tmp_path):
    boxes = [rectangle(0, 0, 4, 4)] * 3
    path = write_polygons(tmp_path / 'a.gpkg', boxes, code=[20, 3, 20], name=['a', '', 'b'])
    assert read_polygons(PolygonReading(path, attribute='code')).classes == ('class_3', 'class_20')
    polygons = read_polygons(PolygonReading(path, attribute='name'))
    assert polygons.classes == ('a', 'b')
    assert len(polygons.shapes) == 2


def test_the_attribute_of_classes_is_seen(tmp_path):
    boxes = [rectangle(0, 0, 4, 4)] * 4
    path = write_polygons(
        tmp_path / 'a.gpkg', boxes, fid_1=[1, 2, 3, 4], owner=['x', 'y', 'x', 'z'], Landuse=['a', 'a', 'b', 'b']
    )
    assert list_attributes(path, None) == ['Landuse']
    path = write_polygons(tmp_path / 'b.gpkg', boxes, number=[1, 2, 3, 4], kind=['a', 'a', 'b', 'b'])
    assert list_attributes(path, None) == ['kind']
    path = write_polygons(tmp_path / 'c.gpkg', boxes, number=[1, 2, 3, 4], storeys=[1, 2, 2, 2])
    assert list_attributes(path, None) == []


def test_layers(tmp_path):
    path = write_polygons(tmp_path / 'a.gpkg', [rectangle(0, 0, 4, 4)], layer='first')
    assert choose_layer(path, None) is None
    write_polygons(path, [rectangle(0, 0, 8, 8)], layer='second')
    with pytest.raises(UserError, match=r'--label_layer: .*has 2 layers: name one of first, second'):
        choose_layer(path, None)
    with pytest.raises(UserError, match="'third' is no layer"):
        choose_layer(path, 'third')
    assert read_polygons(PolygonReading(path, choose_layer(path, 'second'))).classes == ('background', 'second')


def test_refusals(tmp_path):
    path = write_polygons(tmp_path / 'a.gpkg', [rectangle(0, 0, 4, 4)], use=['a'])
    with pytest.raises(UserError, match=r"'usage' is no attribute of .* \(it has use\)"):
        read_polygons(PolygonReading(path, attribute='usage'))
    (tmp_path / 'broken.gpkg').write_bytes(b'no database')
    with pytest.raises(UserError, match='cannot be read'):
        choose_layer(tmp_path / 'broken.gpkg', None)
    with open_raster(str(write_raster(tmp_path / 'plain.tif', np.ones((4, 4), np.uint8)))) as file:
        grid = grid_of(file)
    with pytest.raises(UserError, match='not georeferenced'):
        PolygonLabels(read_polygons(PolygonReading(path)), grid, 'plain.tif')


def test_a_missing_pyogrio_is_told_in_one_line(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, 'pyogrio', None)
    with pytest.raises(UserError, match=r'pip install "dlc-mmseg\[raster\]"'):
        choose_layer(tmp_path / 'a.gpkg', None)
