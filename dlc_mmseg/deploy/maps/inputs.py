"""Which images to map, and what their maps are called."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.image_files import IMAGE_SUFFIXES, list_images

MAP_SUFFIX = '.tif'
Item = TypeVar('Item')


class MapJob(NamedTuple):
    """One image and its map.

    Attributes:
        image: The image.
        map: Where its map goes; everything else that is written of it lies beside, under the same stem.
    """

    image: Path
    map: Path


def list_jobs(inputs: Sequence[str], out: Path, suffix: str | None = None) -> list[MapJob]:
    """Images with their maps, which are named after them.

    Images of a folder keep their path below it; other images that share a name keep as much of their path as tells
    them apart. Images that differ in their ending only keep it as part of the name.

    Args:
        inputs: Files, folders (sub-folders included) and patterns with ``*``.
        out: Folder; or, for one image, a file that ends in ``.tif``.
        suffix: How names of images in folders end; None takes any image.

    Returns:
        The jobs, sorted by image.

    Raises:
        UserError: If an input does not exist, or a map would overwrite an image.
    """
    images: dict[Path, Path] = {}
    for text in inputs:
        for image, name in _expanded(text, out, suffix):
            images.setdefault(image, name)
    if out.suffix.lower() in ('.tif', '.tiff') and not out.is_dir():
        if len(images) != 1:
            raise UserError(out, f'is one file, {len(images)} images are given', 'give a folder to --out')
        jobs = [MapJob(image, out) for image in images]
    else:
        jobs = [MapJob(image, out / name) for image, name in sorted(_map_names(images).items())]
    for job in jobs:
        if os.path.realpath(job.map) in {os.path.realpath(image) for image in images}:
            raise UserError(job.map, 'is an image, which its map would overwrite', 'give another --out')
    return jobs


def shared_out(items: Sequence[Item], sizes: Sequence[int], environment: Mapping[str, str]) -> list[Item]:
    """The items of this process among those that `torchrun` started: large ones first, in turn.

    Args:
        items: What there is to do; the same in all processes.
        sizes: How much work each is.
        environment: ``RANK`` and ``WORLD_SIZE``; without them there is one process.

    Returns:
        Those of this process, in the order given.
    """
    rank, world_size = int(environment.get('RANK', 0)), int(environment.get('WORLD_SIZE', 1))
    order = sorted(range(len(items)), key=lambda index: -sizes[index])
    mine = sorted(order[rank::world_size])
    return [items[index] for index in mine]


def _expanded(text: str, out: Path, suffix: str | None) -> list[tuple[Path, Path]]:
    """Images that an input stands for, with the names that their maps have at least."""
    path = Path(text)
    if path.is_dir():
        inside = out.resolve()
        images = [image for image in list_images(path, suffix) if inside not in image.resolve().parents]
        if not images:
            raise UserError(path, 'holds maps only', 'give a folder of images')
        return [(image, image.relative_to(path)) for image in images]
    if path.is_file():
        return [(path, Path(path.name))]
    if glob.has_magic(text):
        found = [Path(match) for match in sorted(glob.glob(text, recursive=True)) if os.path.isfile(match)]
        images = [match for match in found if _is_image(match, suffix)]
        if images:
            return [(image, Path(image.name)) for image in images]
        raise UserError(text, 'matches no image', 'correct the pattern')
    if text.startswith('/vsi') or '://' in text:  # GDAL's own file systems
        return [(path, Path(path.name))]
    raise UserError(text, 'does not exist', 'give an image, a folder or a pattern')


def _is_image(path: Path, suffix: str | None) -> bool:
    return path.name.endswith(suffix) if suffix else path.name.lower().endswith(IMAGE_SUFFIXES)


def _map_names(images: Mapping[Path, Path]) -> dict[Path, Path]:
    """Names that differ: with more folders where equal, then with the image's own ending."""
    rivals: dict[Path, list[Path]] = {}
    for image, name in images.items():
        rivals.setdefault(name, []).append(image)
    names = {}
    for name, group in rivals.items():
        common = Path(os.path.commonpath([image.resolve().parent for image in group]))
        for image in group:
            names[image] = name if len(group) == 1 else image.resolve().relative_to(common)
    stems = Counter(str(name.with_suffix('')).lower() for name in names.values())
    alone = {image: stems[str(name.with_suffix('')).lower()] == 1 for image, name in names.items()}
    return {
        image: name.with_suffix(MAP_SUFFIX) if alone[image] else name.with_name(f'{name.name}{MAP_SUFFIX}')
        for image, name in names.items()
    }
