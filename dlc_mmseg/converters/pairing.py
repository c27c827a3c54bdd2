"""Finds the images and labels of a data set among raw files and pairs them, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.converters.tiling import RawTile
from dlc_mmseg.errors import UserError

LABEL_KINDS = ('full', 'eroded')

_Found = dict[str, dict[str, RawFile]]


@dataclass(frozen=True)
class RawDataset:
    """Names and splits of one data set.

    Attributes:
        title: Its name.
        splits: Tile names by part.
        recognise: Gives tile name and kind (a variant, ``'full'`` or ``'eroded'``) of a raw file, or None.
        images: Where the image of a variant comes from, with ``{tile}`` for the tile's name, for messages.
        labels: The same for the labels.
    """

    title: str
    splits: dict[str, tuple[str, ...]]
    recognise: Callable[[RawFile], tuple[str, str] | None]
    images: dict[str, str]
    labels: str

    def looked_for(self) -> str:
        """All names this data set is known by, for messages."""
        return '; '.join(name.format(tile='*') for name in (*self.images.values(), self.labels))


def _recognised(files: Iterable[RawFile], dataset: RawDataset) -> _Found:
    """Files by tile and kind; of two for the same purpose the first is taken."""
    found: _Found = {}
    known = {name for names in dataset.splits.values() for name in names}
    for raw in files:
        key = dataset.recognise(raw)
        if key is not None and key[0] in known:
            found.setdefault(key[0], {}).setdefault(key[1], raw)
    return found


def _choose_labels(found: _Found, names: Sequence[str], labels: str) -> dict[str, str]:
    """Kind of label by tile: one for all tiles where it covers them, full before eroded; else mixed."""
    kinds = LABEL_KINDS if labels == 'auto' else (labels,)
    for kind in kinds:
        if all(kind in found[name] for name in names):
            return dict.fromkeys(names, kind)
    available = {name: [kind for kind in kinds if kind in found[name]] for name in names}
    return {name: chosen[0] for name, chosen in available.items() if chosen}


def _missing(
    found: _Found, dataset: RawDataset, variants: Sequence[str], labels: dict[str, str]
) -> dict[str, list[str]]:
    """What to add, by tile that lacks an image or the label."""
    missing: dict[str, list[str]] = {}
    for name, files in found.items():
        lacking = [dataset.images[variant] for variant in variants if variant not in files]
        lacking += [dataset.labels] if name not in labels else []
        if lacking:
            missing[name] = [text.format(tile=name) for text in lacking]
    return missing


def collect_tiles(
    files: Iterable[RawFile],
    dataset: RawDataset,
    variants: Sequence[str] | None = None,
    *,
    labels: str = 'auto',
    skip_incomplete: bool = False,
) -> tuple[list[RawTile], list[str]]:
    """Pair images with labels.

    Tiles of the data set of which no file is there are left out, tiles that no split lists too.

    Args:
        files: Raw files; of two for the same purpose the first is taken.
        dataset: Which data set.
        variants: Images wanted; None takes those of which at least one is there.
        labels: ``'full'``, ``'eroded'`` (without boundaries) or ``'auto'``: full ones if every tile has one,
            else eroded ones if every tile has one, else whichever a tile has.
        skip_incomplete: Leave tiles out that lack an image or the label instead of refusing.

    Returns:
        Tiles in the order of the splits, and remarks for the user.

    Raises:
        UserError: If nothing is found, or an image or a label is missing.
    """
    found = _recognised(files, dataset)
    if variants is None:
        variants = [v for v in dataset.images if any(v in held for held in found.values())]
    names = [name for name, held in found.items() if any(variant in held for variant in variants)]
    if not names:
        raise UserError(
            None,
            f'no {dataset.title} images found, looked for {dataset.looked_for()}',
            'give --dataset_path the folder or archive that holds them',
        )
    kinds = _choose_labels(found, names, labels)
    missing = _missing(found, dataset, variants, kinds)
    if missing and not skip_incomplete:
        name, lacking = next(iter(missing.items()))
        raise UserError(
            dataset.title,
            f'{len(missing)} of {len(found)} tiles are incomplete, {name} among them',
            f'add {" and ".join(lacking)}, or leave such tiles out with --skip_incomplete',
        )
    tiles = [
        RawTile(name, split, {variant: found[name][variant] for variant in variants}, found[name][kinds[name]])
        for split, members in dataset.splits.items()
        for name in members
        if name in found and name not in missing
    ]
    return tiles, _remarks(dataset, tiles, missing, [kinds[tile.name] for tile in tiles])


def _remarks(dataset: RawDataset, tiles: Sequence[RawTile], missing: Iterable[str], kinds: Sequence[str]) -> list[str]:
    if not tiles:
        raise UserError(
            None, f'no {dataset.title} tile has both image and label', f'add what is missing of {dataset.looked_for()}'
        )
    parts = ', '.join(f'{sum(tile.split == split for tile in tiles)} {split}' for split in dataset.splits)
    labels = ' and '.join(f'{kinds.count(kind)} {kind}' for kind in LABEL_KINDS if kind in kinds)
    total = sum(map(len, dataset.splits.values()))
    remarks = [f'{dataset.title}: {len(tiles)} of {total} tiles ({parts}), labels: {labels}']
    left_out = list(missing)
    return [*remarks, f'Left out as incomplete: {", ".join(left_out)}'] if left_out else remarks
