"""What Potsdam and Vaihingen share: pairing images with labels, checks before the first tile, conversion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.isprs_labels import UNLABELLED, read_label
from dlc_mmseg.converters.raw_files import RawFile, find_raw_files
from dlc_mmseg.converters.raw_images import read_rgb
from dlc_mmseg.converters.tiling import Cutting, RawTile, convert_tiles
from dlc_mmseg.errors import UserError

_LABEL_KINDS = ('full', 'eroded')


@dataclass(frozen=True)
class IsprsDataset:
    """Names and splits of one ISPRS data set.

    Attributes:
        title: Its name.
        splits: Tile names by part.
        recognise: Gives tile name and kind (a variant, ``'full'`` or ``'eroded'``) of a raw file, or None.
        images: Where the images of a variant come from, for messages.
        labels: Where the labels come from, for messages.
        inexact: Tiles whose label is published with inexact colours.
    """

    title: str
    splits: dict[str, tuple[str, ...]]
    recognise: Callable[[RawFile], tuple[str, str] | None]
    images: dict[str, str]
    labels: str
    inexact: frozenset[str] = field(default_factory=frozenset)


def _read_image(tile: RawTile, variant: str) -> NDArray[np.uint8]:
    return read_rgb(tile.images[variant])


_Found = dict[str, dict[str, RawFile]]


def _choose_labels(found: _Found, names: Sequence[str], labels: str) -> tuple[dict[str, RawFile], str]:
    """Label by tile, and its kind: one for all tiles where it covers them, full before eroded; else mixed."""
    kinds = _LABEL_KINDS if labels == 'auto' else (labels,)
    for kind in kinds:
        if all(kind in found[name] for name in names):
            return {name: found[name][kind] for name in names}, kind
    chosen = {
        name: next(found[name][kind] for kind in kinds if kind in found[name])
        for name in names
        if any(kind in found[name] for kind in kinds)
    }
    used = [kind for kind in kinds if any(found[name].get(kind) == raw for name, raw in chosen.items())]
    return chosen, ' and '.join(used)


def collect_tiles(
    files: Iterable[RawFile],
    dataset: IsprsDataset,
    variants: Sequence[str],
    *,
    labels: str = 'auto',
    skip_incomplete: bool = False,
) -> tuple[list[RawTile], list[str]]:
    """Pair images with labels.

    Args:
        files: Raw files; of two for the same purpose the first is taken.
        dataset: Which data set.
        variants: Images wanted.
        labels: ``'full'``, ``'eroded'`` (without boundaries) or ``'auto'``: full ones if every tile has one,
            else eroded ones if every tile has one, else whichever a tile has.
        skip_incomplete: Leave tiles out that lack an image or the label instead of refusing.

    Returns:
        Tiles in the order of the splits, and remarks for the user.

    Raises:
        UserError: If nothing is found, or an image or a label is missing.
    """
    found: _Found = {}
    for raw in files:
        if (key := dataset.recognise(raw)) is not None:
            found.setdefault(key[0], {}).setdefault(key[1], raw)
    part = {name: split for split, names in dataset.splits.items() for name in names}
    names = [name for name in part if any(kind in found.get(name, {}) for kind in variants)]
    chosen, kind = _choose_labels(found, names, labels)
    images = {name: {v: found[name][v] for v in variants if v in found.get(name, {})} for name in part}
    wanted = [name for name in part if name in names or (name in found and not skip_incomplete)]
    lacking = {
        **{f'image of {n} ({v})': dataset.images[v] for n in wanted for v in variants if v not in images[n]},
        **{f'label of {n}': dataset.labels for n in names if n not in chosen},
    }
    if lacking and names and not skip_incomplete:
        what, remedy = next(iter(lacking.items()))
        raise UserError(
            f'{dataset.title}: {len(lacking)} file(s) missing, the first is the {what}: add {remedy}, '
            'or leave such tiles out with --skip_incomplete'
        )
    complete = [n for n in names if n in chosen and len(images[n]) == len(variants)]
    tiles = [RawTile(name, part[name], images[name], chosen[name]) for name in complete]
    remarks = [f'{dataset.title}: {len(tiles)} of {len(part)} tiles, {kind} labels']
    if lacking:
        remarks.append(f'Left out for want of {", ".join(lacking)}')
    return tiles, remarks


def convert_isprs(
    dataset: IsprsDataset,
    dataset_path: Path,
    out_dir: Path,
    variants: Sequence[str],
    *,
    clip_size: int = 512,
    stride_size: int = 256,
    labels: str = 'auto',
    max_unknown: float = 0.0,
    skip_incomplete: bool = False,
    workers: int = 1,
) -> list[Path]:
    """Convert the raw files of an ISPRS data set into tiles.

    Args:
        dataset: Which data set.
        dataset_path: Folder with packages or extracted trees, or one package.
        out_dir: Folder of the data set; ``{variant}_{clip_size}_s{stride_size}`` is added.
        variants: Images wanted.
        clip_size: Side of the windows in pixels.
        stride_size: Step between windows in pixels.
        labels: See :func:`collect_tiles`.
        max_unknown: Share of pixels of unknown colour tolerated per label, 0..1.
        skip_incomplete: Leave tiles out that lack an image or the label.
        workers: Processes.

    Returns:
        Folders of the converted data, in the order of ``variants``.

    Raises:
        UserError: If input or output is faulty; nothing incomplete is left under its final name.
    """
    files = find_raw_files(dataset_path)
    tiles, remarks = collect_tiles(files, dataset, variants, labels=labels, skip_incomplete=skip_incomplete)
    if not tiles:
        looked_for = '; '.join([*(dataset.images[variant] for variant in variants), dataset.labels])
        raise UserError(
            f'--dataset_path {dataset_path}: no {dataset.title} tiles found, looked for {looked_for}'
        )
    print(*remarks, sep='\n')
    reader = partial(read_label, max_unknown=max_unknown, inexact=dataset.inexact)
    cutting = Cutting(clip_size, stride_size, _read_image, reader, UNLABELLED)
    folders = {variant: out_dir / f'{variant}_{clip_size}_s{stride_size}' for variant in variants}
    written = convert_tiles(tiles, folders, cutting, settings={'dataset': dataset.title}, workers=workers)
    for folder in folders.values():
        print(f'{folder}: {"written" if folder in written else "was complete already"}')
    return list(folders.values())
