"""Outlines against the raster they come from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize
from rasterio.transform import from_origin
from rasterio.warp import transform_geom
from rasters import UTM, write_raster

from dlc_mmseg.deploy.maps.areas import AreaMeasure
from dlc_mmseg.deploy.maps.map_file import georeference
from dlc_mmseg.deploy.maps.polygons import check_polygons, class_polygons, write_polygons
from dlc_mmseg.errors import UserError

CLASSES = ('water', 'Wald & "Wiese"', 'Straße')
TRANSFORM = from_origin(400_000, 5_500_000, 0.5, 0.5)


def labels() -> np.ndarray:
    blocks = np.random.default_rng(0).integers(0, 3, (6, 8)).astype('uint8')
    labels = blocks.repeat(5, 0).repeat(5, 1)
    labels[3, 3] = (labels[3, 3] + 1) % 3  # a hole
    labels[:, -4:] = 255
    return labels


def written(path: Path, map_path: Path, min_area: float = 0) -> int:
    with rasterio.open(map_path) as file:
        place = georeference(file)
        pieces = class_polygons(file, 3, AreaMeasure(place), min_area)
        return write_polygons(path, pieces, CLASSES, place)


def burnt(shapes: list[tuple[dict, int]]) -> np.ndarray:
    return rasterize(shapes, out_shape=labels().shape, fill=255, transform=TRANSFORM, dtype='uint8')


def test_geojson_is_in_wgs84_and_covers_each_class(tmp_path):
    path = write_raster(tmp_path / 'a.tif', labels(), crs=UTM, transform=TRANSFORM, nodata=255)
    count = written(tmp_path / 'a.geojson', path)
    features = json.loads((tmp_path / 'a.geojson').read_text(encoding='utf-8'))['features']
    assert len(features) == count > 5
    for x, y in features[0]['geometry']['coordinates'][0]:
        assert 12 < x < 15 and 49 < y < 50  # noqa: PT018, UTM zone 33 in degrees
    shapes = [
        (transform_geom('EPSG:4326', UTM, feature['geometry']), feature['properties']['class']) for feature in features
    ]
    np.testing.assert_array_equal(burnt(shapes), labels())
    for index, name in enumerate(CLASSES):
        areas = [f['properties']['square_metres'] for f in features if f['properties']['name'] == name]
        assert sum(areas) == pytest.approx((labels() == index).sum() * 0.25)


def test_geopackage_keeps_the_reference_system(tmp_path):
    import pyogrio.raw

    path = write_raster(tmp_path / 'a.tif', labels(), crs=UTM, transform=TRANSFORM, nodata=255)
    count = written(tmp_path / 'a.gpkg', path)
    meta, _, geometries, (classes, names, areas) = pyogrio.raw.read(tmp_path / 'a.gpkg')
    assert len(geometries) == count
    assert meta['crs'] == UTM
    assert meta['geometry_type'] == 'Polygon'
    assert {CLASSES[index] for index in classes} == set(names)
    assert areas.sum() == pytest.approx((labels() < 255).sum() * 0.25)


def test_small_pieces_are_left_out(tmp_path):
    path = write_raster(tmp_path / 'a.tif', labels(), crs=UTM, transform=TRANSFORM, nodata=255)
    everything, large = (written(tmp_path / 'a.geojson', path, area) for area in (0, 1.0))
    assert large == everything - 1  # the hole of a quarter of a square metre


def test_images_without_georeference_have_outlines_in_pixels(tmp_path):
    path = write_raster(tmp_path / 'a.tif', labels(), nodata=255)
    written(tmp_path / 'a.geojson', path)
    features = json.loads((tmp_path / 'a.geojson').read_text(encoding='utf-8'))['features']
    shapes = [(feature['geometry'], feature['properties']['class']) for feature in features]
    np.testing.assert_array_equal(rasterize(shapes, out_shape=labels().shape, fill=255, dtype='uint8'), labels())
    assert all(feature['properties']['square_metres'] is None for feature in features)


def test_a_missing_pyogrio_is_told_in_one_line(monkeypatch):
    from dlc_mmseg.deploy.maps import polygons

    monkeypatch.setattr(polygons.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install'):
        check_polygons('gpkg')
    check_polygons('geojson')
