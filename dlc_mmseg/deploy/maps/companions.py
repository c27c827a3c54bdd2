"""What lies beside a map: its table, its classes' names, outlines, the image's world file."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape

from dlc_mmseg.deploy.class_descriptions import Classes
from dlc_mmseg.deploy.maps.areas import AreaMeasure
from dlc_mmseg.deploy.maps.class_table import ClassArea, write_class_table
from dlc_mmseg.deploy.maps.inputs import MapJob
from dlc_mmseg.deploy.maps.map_file import Georeference
from dlc_mmseg.deploy.maps.polygons import POLYGON_SUFFIXES, class_polygons, smallest_area, write_polygons
from dlc_mmseg.files.atomic_writing import write_atomically


def beside(path: Path, what: str, suffix: str | None = None) -> Path:
    """A file that belongs to a map.

    Args:
        path: The map.
        what: What it holds; empty for nothing but another ending.
        suffix: Its ending; None takes the map's.
    """
    return path.with_name(f'{path.stem}{"_" if what else ""}{what}{suffix or path.suffix}')


def write_companions(
    job: MapJob,
    file: Any,
    areas: Sequence[ClassArea],
    classes: Classes,
    place: Georeference,
    *,
    polygons: Literal['none', 'geojson', 'gpkg'],
    min_area: float,
    made: bool,
) -> list[Path]:
    """Write what belongs to a map beside its rasters, where the map is new, or it is missing or was made otherwise.

    Args:
        job: The image and its map.
        file: The open map.
        areas: Pixels and area of each class.
        classes: Names and colours.
        place: Where the map lies.
        polygons: Format of outlines, if any.
        min_area: Smallest of them.
        made: Whether the map is new.

    Returns:
        The files that were written.
    """
    written = []
    table = beside(job.map, 'areas', '.csv')
    if made or not table.is_file():
        write_class_table(table, areas)
        written.append(table)
    names = job.map.with_name(f'{job.map.name}.aux.xml')
    if made or not names.is_file():
        write_atomically(names, _category_names(classes))
    if polygons != 'none':
        path = beside(job.map, '', POLYGON_SUFFIXES[polygons])
        if made or not path.is_file() or smallest_area(path) != min_area:
            pieces = class_polygons(file, len(classes.names), AreaMeasure(place), min_area)
            write_polygons(path, pieces, classes.names, place, min_area)
            written.append(path)
    world = _world_file(job.image)
    if world is not None:
        kept = beside(job.map, '', '.tfw')
        shutil.copyfile(world, kept)
        written.append(kept)
    return written


def _category_names(classes: Classes) -> bytes:
    """GDAL's sidecar, from which GIS read what values are called."""
    lines = [f'      <Category>{escape(name)}</Category>' for name in classes.names]
    head = ['<PAMDataset>', '  <PAMRasterBand band="1">', '    <CategoryNames>']
    return '\n'.join([*head, *lines, '    </CategoryNames>', '  </PAMRasterBand>', '</PAMDataset>', '']).encode()


def _world_file(image: Path) -> Path | None:
    """The world file of an image: ``.tfw``, ``.tifw`` or ``.wld`` for ``.tif``, in any case."""
    ending = image.suffix.lower()
    if len(ending) < 3:
        return None
    wanted = {f'.{ending[1]}{ending[-1]}w', f'{ending}w', '.wld'}
    if not image.parent.is_dir():
        return None
    found = [path for path in image.parent.glob(f'{glob.escape(image.stem)}.*') if path.suffix.lower() in wanted]
    return found[0] if found else None
