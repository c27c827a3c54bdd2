"""Rasters of a folder with their label rasters."""

from __future__ import annotations

from pathlib import Path

from dlc_mmseg.converters.raster.cutting import RasterPair
from dlc_mmseg.converters.raster.name_matching import match_names
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.image_files import list_images


def pair_rasters(images: Path, labels: Path | None) -> list[RasterPair]:
    """Pair images with label rasters by their names.

    Args:
        images: A raster, or a folder of them.
        labels: A raster, or a folder of them; None: no labels.

    Returns:
        Pairs, named after the images.

    Raises:
        UserError: If a file or folder is missing, or images have no label.
    """
    found = _files(images)
    base = images if images.is_dir() else images.parent
    names = {path: path.relative_to(base).with_suffix('').as_posix().replace('/', '_') for path in found}
    if labels is None:
        return [RasterPair(names[path], path) for path in found]
    others = _files(labels)
    label_base = labels if labels.is_dir() else labels.parent
    match = match_names(
        [path.relative_to(base).as_posix() for path in found],
        [path.relative_to(label_base).as_posix() for path in others],
    )
    partners = {} if match is None else {base / match.image(n): label_base / match.label(n) for n in match.names}
    missing = [path for path in found if path not in partners]
    if missing:
        what = f'has no label of a matching name in {labels} ({len(missing)} of {len(found)} have none)'
        raise UserError(missing[0], what, 'add it, or move the image away')
    return [RasterPair(names[path], path, partners[path]) for path in found]


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return list_images(place)
    if not place.is_file():
        raise UserError(place, 'no such file or folder', 'correct the path')
    return [place]
