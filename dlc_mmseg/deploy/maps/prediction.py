"""One image mapped: classified, blended, written, measured; continued where an earlier run was killed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dlc_mmseg.deploy.class_descriptions import Classes
from dlc_mmseg.deploy.maps.areas import AreaMeasure
from dlc_mmseg.deploy.maps.blending import Position, Strip, Tiling, blended_strips
from dlc_mmseg.deploy.maps.class_table import ClassArea, class_areas
from dlc_mmseg.deploy.maps.companions import beside, write_companions
from dlc_mmseg.deploy.maps.image_rows import ImageReading, ImageRows, open_rows
from dlc_mmseg.deploy.maps.inputs import MapJob
from dlc_mmseg.deploy.maps.map_file import Georeference, Layer, PartialRaster, gdal_settings, georeference, part_path
from dlc_mmseg.deploy.maps.window_classifier import WindowClassifier
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import write_atomically
from dlc_mmseg.files.rasters import open_raster

Probabilities = Literal['none', 'uint8', 'float32']
_SECONDS_BETWEEN_NOTES = 20.0
_CERTAIN = 254
"""Stored value of probability 1 in 8 bits; 255 means no data."""
_RUN_TAG = 'DLC_MMSEG_RUN'


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """What is written of each image.

    Attributes:
        tiling: How images are cut.
        reading: How they are read.
        probabilities: Type of a raster of all classes' probabilities; ``none`` writes none.
        confidence: Whether to write a raster of the largest probability.
        polygons: ``geojson``, ``gpkg`` or ``none``.
        min_area: Smallest polygon, in square metres (in pixels where an image lies nowhere).
        run: What a map depends on beside its image, as text: a map of the same run and image is not made again.
    """

    tiling: Tiling
    reading: ImageReading
    probabilities: Probabilities = 'none'
    confidence: bool = False
    polygons: Literal['none', 'geojson', 'gpkg'] = 'none'
    min_area: float = 0.0
    run: str = ''


class MapResult(NamedTuple):
    """What became of an image.

    Attributes:
        job: The image and its map.
        areas: Pixels and area of each class.
        written: Files that belong to the map; empty if it was there before.
        seconds: Time it took.
    """

    job: MapJob
    areas: list[ClassArea]
    written: list[Path]
    seconds: float


def predict_map(
    job: MapJob,
    classifier: WindowClassifier,
    classes: Classes,
    settings: MapSettings,
    advance: Callable[[int], None] = lambda _: None,
) -> MapResult:
    """Map one image.

    Args:
        job: The image and where its map goes.
        classifier: The network.
        classes: Names and colours.
        settings: What is written.
        advance: Told the number of windows that are done.

    Returns:
        What was written.

    Raises:
        UserError: If the image cannot be read, or does not fit the model.
        OSError: If a file cannot be written.
    """
    started = time.monotonic()
    with gdal_settings(), open_rows(str(job.image), settings.reading, classifier.channels) as image:
        place = georeference(image.file)
        run = json.dumps([settings.run, _identity(job.image), image.size])
        layers = map_layers(job.map, classes, settings, run)
        measure = AreaMeasure(place)
        if _is_done(layers, run):
            written: list[Path] = []
        else:
            with _resumable(layers, image, place, run) as (rasters, start, note):
                classify(image, classifier, settings.tiling, rasters, start, note, advance)
            for raster in rasters[::-1]:  # the map last: it tells that all is there
                raster.finish()
            written = [layer.path for layer in layers]
        done = time.monotonic()
        with open_raster(str(job.map)) as file:
            areas = class_areas(file, classes.names, measure)
            written += write_companions(
                job,
                file,
                areas,
                classes,
                place,
                polygons=settings.polygons,
                min_area=settings.min_area,
                made=bool(written),
            )
    return MapResult(job, areas, written, max(done, time.monotonic()) - started)


def classify(
    image: ImageRows,
    classifier: WindowClassifier,
    tiling: Tiling,
    rasters: list[PartialRaster],
    start: Position,
    note: Callable[[Position], None],
    advance: Callable[[int], None] = lambda _: None,
) -> None:
    """Classify an image and write its strips.

    Args:
        image: The image.
        classifier: The network.
        tiling: How the image is cut.
        rasters: What is written.
        start: Where an earlier run stopped.
        note: Keeps how far the image is done, once strips are on the disk.
        advance: Told the number of windows that are done.
    """
    noted = time.monotonic()
    strips = blended_strips(image, classifier, classifier.num_classes, tiling, start=start, advance=advance)
    for strip in strips:
        for raster in rasters:
            raster.write(_values(raster.layer, strip, classifier), strip.box)
        if time.monotonic() - noted > _SECONDS_BETWEEN_NOTES:
            for raster in rasters:
                raster.flush()
            note(strip.position)
            noted = time.monotonic()
    for raster in rasters:
        raster.flush()


def map_layers(path: Path, classes: Classes, settings: MapSettings, run: str) -> list[Layer]:
    """The rasters that belong to a map, the map itself first.

    Args:
        path: The map.
        classes: Names and colours.
        settings: What is written.
        run: Text that tells a finished map from one of other settings.
    """
    names, count = classes.names, len(classes.names)
    wide = count > 255
    colours = {} if wide or classes.palette is None else dict(enumerate(classes.palette))
    tags = {'CLASSES': json.dumps(names, ensure_ascii=False), _RUN_TAG: run}
    dtype, nodata = ('uint16', 65535) if wide else ('uint8', 255)
    layers = [Layer(path, dtype, nodata, ['class'], 'mode', 1.0, colours, tags)]
    scores: dict[str, Any] = {'overviews': 'average', 'tags': {_RUN_TAG: run}}
    if settings.probabilities != 'none':
        stored = ('uint8', 255, 1 / _CERTAIN) if settings.probabilities == 'uint8' else ('float32', np.nan, 1.0)
        layers.append(
            Layer(beside(path, 'probabilities'), stored[0], stored[1], list(names), scale=stored[2], **scores)
        )
    if settings.confidence:
        layers.append(Layer(beside(path, 'confidence'), 'uint8', 255, ['confidence'], scale=1 / _CERTAIN, **scores))
    return layers


def _values(layer: Layer, strip: Strip, classifier: WindowClassifier) -> NDArray[Any]:
    """What a layer holds of a strip, shape (bands, h, w)."""
    if layer.names == ['class']:
        values = classifier.decide(strip.scores).numpy()[None].astype(layer.dtype)
    else:
        scores: Tensor = strip.scores.amax(0, keepdim=True) if layer.names == ['confidence'] else strip.scores
        values = scores.numpy()
        values = np.rint(values * _CERTAIN).astype(np.uint8) if layer.dtype == 'uint8' else values.astype(layer.dtype)
    return np.where(strip.nodata[None], np.asarray(layer.nodata, layer.dtype), values)


@contextmanager
def _resumable(
    layers: list[Layer], image: ImageRows, place: Georeference, run: str
) -> Iterator[tuple[list[PartialRaster], Position, Callable[[Position], None]]]:
    """Rasters to write to, where to start, and how to note the progress beside the map."""
    record = layers[0].path.with_name(f'.{layers[0].path.name}.progress.json')
    start = _noted(record, run, layers)
    rasters = [PartialRaster(layer, image.size, place, keep=start is not None) for layer in layers]

    def note(position: Position) -> None:
        write_atomically(record, json.dumps({'run': run, 'position': position}).encode())

    try:
        yield rasters, start or Position(), note
    except Exception:
        for raster in rasters:  # a fault of the image, not a kill: there is nothing to go on with
            raster.discard()
        record.unlink(missing_ok=True)
        raise
    record.unlink(missing_ok=True)


def _noted(record: Path, run: str, layers: list[Layer]) -> Position | None:
    """How far an earlier run of the same settings came; None if there was none."""
    try:
        content = json.loads(record.read_text(encoding='utf-8'))
        position = Position(*map(int, content['position']))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    there = all(_holds(part_path(layer.path), layer, run) for layer in layers)
    return position if content['run'] == run and there else None


def _is_done(layers: list[Layer], run: str) -> bool:
    return all(_holds(layer.path, layer, run) for layer in layers)


def _holds(path: Path, layer: Layer, run: str) -> bool:
    """Whether a file is what a run of the same settings wrote of a layer, with values of the type wanted now."""
    if not path.is_file():
        return False
    try:
        with open_raster(str(path)) as file:
            return bool(file.tags().get(_RUN_TAG) == run and file.dtypes[0] == layer.dtype)
    except UserError:
        return False


def _identity(image: Path) -> list[Any]:
    try:
        status = image.stat()
    except OSError:  # of GDAL's own file systems
        return [str(image)]
    return [image.name, status.st_size, status.st_mtime_ns]
