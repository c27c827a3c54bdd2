"""Polygons as labels: read with pyogrio, brought into an image's reference system, burnt into its pixels."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.raster.grid import Grid
from dlc_mmseg.converters.raster.label_coding import MOST_CODES, Colour, LabelCounts, class_colours
from dlc_mmseg.converters.raster.raster_labels import NO_LABEL
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import import_rasterio
from dlc_mmseg.windows import Box

VECTOR_SUFFIXES = ('.gpkg', '.geojson', '.json', '.shp', '.fgb', '.gml', '.kml')
_ATTRIBUTE_WORDS = ('class', 'klasse', 'category', 'label', 'landuse', 'landcover', 'land_use', 'land_cover', 'type')
_POLYGONS = ('Polygon', 'MultiPolygon')


@dataclass(frozen=True)
class PolygonReading:
    """Which polygons are labels, and of which classes.

    Attributes:
        path: File of any format that GDAL reads.
        layer: Its layer; None takes the only one.
        attribute: Attribute that names the class; None: all polygons are of one class, named like the layer.
        background: Class of what lies outside; None: no class, unless there is one class of polygons only.
    """

    path: Path
    layer: str | None = None
    attribute: str | None = None
    background: str | None = None


@dataclass(frozen=True)
class Polygons:
    """Polygons with their classes.

    Attributes:
        classes: Names; the first is what lies outside of all polygons, if that is a class.
        outside: Code outside of all polygons: 0 if that is a class, else -1.
        shapes: GeoJSON geometries.
        codes: Class index of each.
        crs: Their reference system; None if the file names none.
        remark: What was taken for the class of a polygon.
    """

    classes: tuple[str, ...]
    outside: int
    shapes: tuple[Any, ...]
    codes: tuple[int, ...]
    crs: str | None
    remark: str

    @property
    def palette(self) -> tuple[Colour, ...]:
        """Colour of each class on maps."""
        return class_colours(LabelCounts('', {}), [(code,) for code in range(len(self.classes))])


def is_vector(path: Path) -> bool:
    """Whether a file is one of polygons, by its ending."""
    return path.suffix.lower() in VECTOR_SUFFIXES


def list_layers(path: Path) -> list[str]:
    """Names of the layers with polygons.

    Raises:
        UserError: If pyogrio is not installed or the file cannot be read.
    """
    pyogrio = _import_pyogrio(path)
    try:
        layers = pyogrio.list_layers(path)
        return [str(name) for name, kind in layers if kind is None or 'Polygon' in kind or kind == 'Unknown']
    except pyogrio.errors.DataSourceError as error:
        raise UserError(path, f'cannot be read ({" ".join(str(error).split())})', 'restore the file') from error


def choose_layer(path: Path, layer: str | None) -> str | None:
    """The layer that is meant.

    Args:
        path: The file.
        layer: Its name, or None.

    Returns:
        The name; None where the file has one layer.

    Raises:
        UserError: If there are several to choose from, or none of that name.
    """
    layers = list_layers(path)
    if layer is None and len(layers) <= 1:
        return None
    if layer not in layers:
        what = f'{layer!r} is no layer of polygons in {path}' if layer else f'{path} has {len(layers)} layers'
        raise UserError('--label_layer', what, f'name one of {", ".join(layers) or "another file"}')
    return layer


def list_attributes(path: Path, layer: str | None) -> list[str]:
    """Attributes that may name the class of a polygon: those with few values, fitting names before others.

    Args:
        path: The file.
        layer: Its layer; None takes the only one.

    Raises:
        UserError: As `list_layers`.
    """
    _, _, _, columns = _read(path, layer)
    few = {name: values for name, values in columns.items() if 1 <= len({*values}) <= min(MOST_CODES, len(values))}
    fitting = [name for name in few if any(word in name.lower() for word in _ATTRIBUTE_WORDS)]
    texts = {name: values for name, values in few.items() if any(isinstance(value, str) for value in values)}
    return fitting or [name for name, values in texts.items() if 1 < len({*values}) < len(values)]


def read_polygons(reading: PolygonReading) -> Polygons:
    """Read polygons.

    Args:
        reading: Which.

    Returns:
        The polygons.

    Raises:
        UserError: If the file cannot be read, holds no polygon, or lacks the attribute.
    """
    path, attribute, background = reading.path, reading.attribute, reading.background
    crs, title, geometries, columns = _read(path, reading.layer)
    if attribute is not None and attribute not in columns:
        listed = ', '.join(columns) or 'none'
        raise UserError('--class_attribute', f'{attribute!r} is no attribute of {path} (it has {listed})', 'correct it')
    values = [title] * len(geometries) if attribute is None else columns[attribute]
    kept = [
        (geometry, value)
        for geometry, value in zip(geometries, values, strict=True)
        if geometry is not None and geometry['type'] in _POLYGONS and value not in (None, '')
    ]
    if not kept:
        raise UserError(path, 'holds no polygon with a class', 'give a layer of polygons, and the attribute of classes')
    found = sorted({value for _, value in kept}, key=lambda value: (isinstance(value, str), value))
    names = [' '.join(str(value).split()) if isinstance(value, str) else f'class_{value}' for value in found]
    if len(names) == 1 and background is None:
        background = 'background'
    if background is not None and background not in names:
        names, found = [background, *names], [None, *found]
    if len(set(names)) < len(names):
        raise UserError(path, f'{attribute!r} writes a class in two ways', 'write each in one way')
    if len(names) > MOST_CODES:
        raise UserError('--class_attribute', f'{attribute!r} has {len(names)} values', 'name the attribute of classes')
    index = {value: number for number, value in enumerate(found)}
    outside = NO_LABEL if background is None else names.index(background)
    of = 'one class' if attribute is None else f'classes from the attribute {attribute!r}'
    around = 'no class outside of them' if background is None else f'{background!r} outside of them'
    number = f'{len(kept)} polygon{"s" if len(kept) > 1 else ""}'
    remark = f'{number}, {of}, {around}'
    codes = tuple(index[value] for _, value in kept)
    return Polygons(tuple(names), outside, tuple(geometry for geometry, _ in kept), codes, crs, remark)


class PolygonLabels:
    """Polygons on the pixels of an image; later ones lie on top.

    Args:
        polygons: The polygons.
        grid: Pixels of the image.
        where: The image, for messages.

    Raises:
        UserError: If image or polygons do not say where they lie.
    """

    def __init__(self, polygons: Polygons, grid: Grid, where: object) -> None:
        rasterio = import_rasterio(where)
        if not grid.georeferenced:
            raise UserError(where, 'is not georeferenced: polygons have no place on it', 'give a label image')
        shapes: list[Any] = list(polygons.shapes)
        if polygons.crs is not None and grid.crs is not None:
            shapes = rasterio.warp.transform_geom(polygons.crs, grid.crs, shapes)
        self._grid, self._shapes, self._codes, self._outside = grid, shapes, polygons.codes, polygons.outside
        self._bounds = np.array([rasterio.features.bounds(shape) for shape in shapes], np.float64)

    def codes(self, box: Box) -> NDArray[np.int32]:
        """Codes of a box of the grid, (height, width); -1 where there is no label."""
        rasterio = import_rasterio('polygons')
        transform = self._grid.transform_of(box)
        west, south, east, north = rasterio.transform.array_bounds(box.height, box.width, transform)
        left, bottom, right, top = self._bounds.T
        south, north = min(south, north), max(south, north)
        near = np.flatnonzero((left <= east) & (right >= west) & (bottom <= north) & (top >= south))
        shape = (box.height, box.width)
        if not len(near):
            return np.full(shape, self._outside, np.int32)
        burnt = [(self._shapes[number], self._codes[number]) for number in near]
        codes: NDArray[np.int32] = rasterio.features.rasterize(
            burnt, shape, self._outside, transform=transform, dtype='int32'
        )
        return codes


def _read(path: Path, layer: str | None) -> tuple[str | None, str, list[Any], dict[str, list[Any]]]:
    """Reference system, name, GeoJSON geometries, and columns of text and whole numbers of a layer."""
    pyogrio = _import_pyogrio(path)
    try:
        meta, _, binary, columns = pyogrio.raw.read(path, layer=layer)
        stream = io.BytesIO()
        kind = meta['geometry_type'] or 'Unknown'
        pyogrio.raw.write(stream, binary, [], [], driver='GeoJSON', geometry_type=kind, crs=None)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError) as error:
        raise UserError(path, f'cannot be read ({" ".join(str(error).split())})', 'restore the file') from error
    geometries = [feature['geometry'] for feature in json.loads(stream.getvalue())['features']]
    usable = {}
    for name, values in zip(meta['fields'], columns, strict=True):
        plain = values.tolist()
        if values.dtype.kind in 'iuO' and all(value is None or isinstance(value, (str, int)) for value in plain):
            usable[str(name)] = plain
        elif values.dtype.kind == 'f' and len(values) and (values[np.isfinite(values)] % 1 == 0).all():
            usable[str(name)] = [int(value) if np.isfinite(value) else None for value in values]
    return meta['crs'], layer or path.stem, geometries, usable


def _import_pyogrio(where: object) -> Any:
    try:
        import pyogrio
        import pyogrio.errors
        import pyogrio.raw
    except ImportError as error:
        what = 'needs the package pyogrio, which is not installed'
        raise UserError(where, what, 'pip install "dlc-mmseg[raster]"') from error
    return pyogrio
