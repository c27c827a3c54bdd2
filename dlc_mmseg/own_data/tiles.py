"""Brings a data set into a form that training reads: as it lies, or cut into tiles."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlc_mmseg.converters.raster.conversion import convert_rasters
from dlc_mmseg.converters.raster.cutting import IMAGES, LABELS, SUFFIX, RasterCutting, RasterPair
from dlc_mmseg.converters.raster.label_coding import LabelCoding
from dlc_mmseg.own_data.domain_facts import DomainFacts
from dlc_mmseg.own_data.finding import Found
from dlc_mmseg.own_data.splits import relative_to_root
from dlc_mmseg.own_data.stored_labels import StoredLabels

LARGEST_TILE = 1024
"""Images with a longer side are cut: a training crop would have to read all of them."""
_WINDOW = re.compile(r'(.*)_\d+_\d+_\d+_\d+')


@dataclass(frozen=True)
class Place:
    """A data set as the config names it.

    Attributes:
        root: Its root.
        images: Folder of the images, relative to it.
        image_suffix: How their names end.
        labels: Folder of the labels, relative to the root; None without labels.
        label_suffix: How their names end.
        names: Images, without ending.
        labelled: Those with a label.
        origins: Name of the image that each was cut from; the image itself where nothing was cut.
        coding: Classes of the labels; None without labels.
        surplus: Whether further files end like the images.
    """

    root: Path
    images: str
    image_suffix: str
    labels: str | None
    label_suffix: str
    names: tuple[str, ...]
    labelled: tuple[str, ...]
    origins: dict[str, str]
    coding: LabelCoding | None
    surplus: bool

    @property
    def image_folder(self) -> Path:
        """Folder of the images."""
        return self.root / self.images

    def image_file(self, name: str) -> Path:
        """File of an image."""
        return self.image_folder / f'{name}{self.image_suffix}'


def why_cut(found: Found, facts: DomainFacts, stored: StoredLabels | None, wanted: Literal['auto', 'always']) -> str:
    """Why a data set cannot stay as it lies.

    Args:
        found: Images and labels.
        facts: Of the images.
        stored: What label images hold; None without.
        wanted: Whether to cut in any case.

    Returns:
        The reason; empty if it can.
    """
    if wanted == 'always':
        return 'as --cut says'
    if facts.largest > LARGEST_TILE:
        return f'they are no tiles ({facts.largest} pixels)'
    if found.single:  # its folder may hold anything
        return 'they are one raster'
    if found.polygons is not None:
        return 'labels are polygons'
    if not found.layout.expressible:
        return 'names of images and labels begin differently'
    if stored is not None and not stored.sizes:
        return 'training cannot read labels of this kind'
    if stored is not None:
        sizes = {name: facts.images[found.layout.image(name)].size for name in stored.sizes}
        if sizes != stored.sizes:
            return 'labels have other pixels than their images'
    return ''


def place_as_it_lies(found: Found, root: Path, coding: LabelCoding | None) -> Place:
    """The data set where it is.

    Args:
        found: Images and labels.
        root: Folder that the user names, if both lie below it.
        coding: Classes of the labels.
    """
    layout = found.layout
    folders = [layout.images] + ([layout.labels] if layout.labels is not None else [])
    if not root.is_dir() or not all(folder == root or root in folder.parents for folder in folders):
        root = _common(folders)
    return Place(
        root=root,
        images=relative_to_root(layout.images, root),
        image_suffix=layout.match.image_suffix,
        labels=None if layout.labels is None else relative_to_root(layout.labels, root),
        label_suffix=layout.match.label_suffix,
        names=layout.names,
        labelled=layout.labelled,
        origins={name: name for name in layout.names},
        coding=coding if layout.labels is not None else None,
        surplus=layout.surplus(),
    )


def cut(
    found: Found,
    folder: Path,
    coding: LabelCoding | None,
    *,
    tile_size: int,
    factor: float,
    keep_unlabelled: bool,
    workers: int,
    say: Callable[[str], None],
) -> Place:
    """Cut a data set into tiles.

    Args:
        found: Images and labels.
        folder: Where the tiles come to lie.
        coding: Classes of the labels.
        tile_size: Side of the tiles in pixels.
        factor: Pixels of the images per pixel of the tiles.
        keep_unlabelled: Whether tiles without labels are of use.
        workers: Processes.
        say: Gets one line about the result.

    Returns:
        Where the tiles lie.

    Raises:
        UserError: See `convert_rasters`.
    """
    layout, labelled = found.layout, set(found.layout.labelled)
    pairs = [
        RasterPair(
            name=(layout.match.image(name)[: -len(layout.image(name).suffix)]).replace('/', '_'),
            image=layout.image(name),
            label=layout.label(name) if name in labelled else None,
        )
        for name in (layout.names if keep_unlabelled or found.polygons else layout.labelled)
    ]
    cutting = RasterCutting(
        factor=factor,
        coding=coding if labelled else None,
        polygons=found.polygons,
        keep_unlabelled=keep_unlabelled,
    )
    say(convert_rasters(pairs, folder, cutting, clip_size=tile_size, workers=workers).line())
    names = _stems(folder / IMAGES)
    with_labels = _stems(folder / LABELS)
    known = {pair.name: name for pair, name in zip(pairs, layout.names, strict=False)}
    return Place(
        root=folder,
        images=IMAGES,
        image_suffix=SUFFIX,
        labels=LABELS if with_labels else None,
        label_suffix=SUFFIX,
        names=names,
        labelled=with_labels,
        origins={name: known.get(_origin(name, known), name) for name in names},
        coding=_indices(coding) if with_labels and coding is not None else None,
        surplus=False,
    )


def _indices(coding: LabelCoding) -> LabelCoding:
    """Tiles hold indices, whatever the labels held."""
    indices = tuple((index,) for index in range(len(coding.classes)))
    return LabelCoding(coding.classes, indices, (255,), palette=coding.palette)


def _origin(tile: str, known: dict[str, str]) -> str:
    match = _WINDOW.fullmatch(tile)
    return tile if tile in known or match is None else match[1]


def _stems(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob(f'*{SUFFIX}'))) if folder.is_dir() else ()


def _common(folders: list[Path]) -> Path:
    first, *others = folders
    candidates = [first, *first.parents]
    near = [folder for folder in candidates if all(folder == other or folder in other.parents for other in others)]
    if near:
        return near[0]
    return Path(Path(first.resolve()).anchor)
