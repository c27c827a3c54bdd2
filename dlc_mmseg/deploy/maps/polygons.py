"""Outlines of the classes of a map, as GeoJSON or GeoPackage."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlc_mmseg.deploy.maps.areas import AreaMeasure
from dlc_mmseg.deploy.maps.map_file import Georeference
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import atomic_path

Ring = list[tuple[float, float]]
POLYGON_SUFFIXES = {'geojson': '.geojson', 'gpkg': '.gpkg'}
_MIN_AREA = 'min_area'
"""Where files keep the smallest area: a member of the feature collection, or metadata of the layer."""
_HEAD = 256


class ClassPolygon(NamedTuple):
    """A connected piece of one class.

    Attributes:
        label: Index of the class.
        rings: Its outline, then its holes, in coordinates of the map.
        square_metres: Its area; None where the map lies nowhere.
    """

    label: int
    rings: list[Ring]
    square_metres: float | None


def check_polygons(kind: str) -> None:
    """Refuse a format that cannot be written here.

    Args:
        kind: ``geojson`` or ``gpkg``.

    Raises:
        UserError: If GeoPackage is asked for without pyogrio.
    """
    if kind == 'gpkg' and importlib.util.find_spec('pyogrio') is None:
        what = 'needs the package pyogrio, which is not installed'
        raise UserError('--polygons gpkg', what, "pip install 'dlc-mmseg[raster]', or take --polygons geojson")


def class_polygons(file: Any, num_classes: int, measure: AreaMeasure, min_area: float = 0.0) -> Iterator[ClassPolygon]:
    """Outlines of a map, which GDAL follows row by row.

    Args:
        file: Open map of class indices.
        num_classes: Number of classes K; other values are left out.
        measure: Areas.
        min_area: Smaller pieces are left out: square metres, pixels where the map lies nowhere.

    Yields:
        The pieces.
    """
    from affine import Affine
    from rasterio import band
    from rasterio.features import shapes

    identity = Affine.identity()
    transform = identity if file.transform.is_identity else file.transform
    bands = band(file, 1)  # type: ignore[no-untyped-call]
    for geometry, value in shapes(bands, connectivity=4, transform=transform):
        if not 0 <= value < num_classes:
            continue
        rings = [[(float(x), float(y)) for x, y in ring] for ring in geometry['coordinates']]
        area = measure.of_polygon(rings)
        if min_area and (_planar(rings) if area is None else area) < min_area:
            continue
        yield ClassPolygon(int(value), rings, area)


def write_polygons(
    path: Path, polygons: Iterator[ClassPolygon], classes: Sequence[str], place: Georeference, min_area: float = 0.0
) -> int:
    """Write polygons with the index and the name of their class and their area.

    GeoJSON is in WGS 84, as its standard (RFC 7946) has it, where the map lies anywhere; GeoPackage in the map's own
    reference system.

    Args:
        path: File; its ending decides on the format.
        polygons: The pieces.
        classes: Names of the classes.
        place: Where the map lies.
        min_area: Area below which pieces were left out, kept in the file for `smallest_area`.

    Returns:
        How many were written.

    Raises:
        UserError: If GeoPackage is asked for without pyogrio.
    """
    if path.suffix == '.gpkg':
        check_polygons('gpkg')
    with atomic_path(path) as ready:
        if path.suffix == '.gpkg':
            return _write_geopackage(ready, path.stem, list(polygons), classes, place, min_area)
        return _write_geojson(ready, polygons, classes, place, min_area)


def smallest_area(path: Path) -> float | None:
    """Area below which a file of polygons lacks pieces.

    Args:
        path: What `write_polygons` wrote.

    Returns:
        Its ``min_area``; None where the file does not say it.
    """
    if path.suffix == '.gpkg':
        import pyogrio
        import pyogrio.errors

        try:
            info = pyogrio.read_info(path)  # type: ignore[no-untyped-call]
            text = (info['layer_metadata'] or {}).get(_MIN_AREA, '')
        except pyogrio.errors.DataSourceError:
            return None
    else:
        with path.open(encoding='utf-8', errors='replace') as stream:
            found = re.search(rf'"{_MIN_AREA}": ([^,]+),', stream.readline(_HEAD))
        text = found[1] if found else ''
    try:
        return float(text)
    except ValueError:
        return None


def _write_geojson(
    path: Path, polygons: Iterator[ClassPolygon], classes: Sequence[str], place: Georeference, min_area: float
) -> int:
    from rasterio.warp import transform_geom

    count = 0
    with path.open('w', encoding='utf-8') as stream:
        stream.write(f'{{"type": "FeatureCollection", "{_MIN_AREA}": {min_area!r}, "features": [')
        for polygon in polygons:
            geometry: dict[str, Any] = {'type': 'Polygon', 'coordinates': polygon.rings}
            if place.crs is not None:
                geometry = transform_geom(place.crs, 'EPSG:4326', geometry, precision=9)
            feature = {'type': 'Feature', 'geometry': geometry, 'properties': _properties(polygon, classes)}
            stream.write(f'{"," if count else ""}\n{json.dumps(feature, ensure_ascii=False)}')
            count += 1
        stream.write('\n]}\n')
    return count


def _write_geopackage(
    path: Path,
    layer: str,
    polygons: list[ClassPolygon],
    classes: Sequence[str],
    place: Georeference,
    min_area: float,
) -> int:
    import pyogrio.raw

    properties = [_properties(polygon, classes) for polygon in polygons]
    columns = {
        'class': np.array([entry['class'] for entry in properties], np.int32),
        'name': np.array([entry['name'] for entry in properties], object),
        'square_metres': np.array([entry['square_metres'] for entry in properties], np.float64),
    }
    pyogrio.raw.write(  # type: ignore[no-untyped-call]
        path,
        np.array([_well_known_binary(polygon.rings) for polygon in polygons], object),
        list(columns.values()),
        list(columns),
        layer=layer,
        driver='GPKG',
        geometry_type='Polygon',
        crs=None if place.crs is None else place.crs.to_wkt(),
        layer_metadata={_MIN_AREA: repr(min_area)},
    )
    return len(polygons)


def _properties(polygon: ClassPolygon, classes: Sequence[str]) -> dict[str, Any]:
    area = None if polygon.square_metres is None else round(polygon.square_metres, 3)
    return {'class': polygon.label, 'name': classes[polygon.label], 'square_metres': area}


def _well_known_binary(rings: Sequence[Ring]) -> bytes:
    """A polygon as OGC Simple Features write it: little-endian, type 3."""
    parts = [struct.pack('<BII', 1, 3, len(rings))]
    for ring in rings:
        parts += [struct.pack('<I', len(ring)), np.asarray(ring, '<f8').tobytes()]
    return b''.join(parts)


def _planar(rings: Sequence[Ring]) -> float:
    areas = []
    for ring in rings:
        x, y = np.asarray(ring).T
        areas.append(float(abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2))
    return areas[0] - sum(areas[1:])
