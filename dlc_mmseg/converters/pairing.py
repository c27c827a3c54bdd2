"""Finds the images and labels of a data set among raw files and pairs them, before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.converters.tiling import RawTile
from dlc_mmseg.errors import UserError

LABEL_KINDS = ('full', 'eroded')

_Found = dict[str, dict[str, RawFile]]


def _recognise_none(raw: RawFile) -> tuple[str, str] | None:
    return None


@dataclass(frozen=True)
class RawDataset:
    """Names and splits of one data set.

    Attributes:
        title: Its name.
        splits: Tile names by part.
        recognise: Gives tile name and kind (a variant, ``'full'`` or ``'eroded'``) of a raw file, or None.
        images: Where the image of a variant comes from, with ``{tile}`` for the tile's name, for messages.
        labels: The same for the labels.
        on_request: Images as in ``images`` that are converted only where they are asked for.
        recognise_on_request: Gives tile name and variant of a file of these.
        made_of: Variant of ``on_request`` that another variant can be made of, by that other variant.
    """

    title: str
    splits: dict[str, tuple[str, ...]]
    recognise: Callable[[RawFile], tuple[str, str] | None]
    images: dict[str, str]
    labels: str
    on_request: dict[str, str] = field(default_factory=dict)
    recognise_on_request: Callable[[RawFile], tuple[str, str] | None] = _recognise_none
    made_of: dict[str, str] = field(default_factory=dict)

    def looked_for(self) -> str:
        """All names this data set is known by, for messages."""
        return '; '.join(name.format(tile='*') for name in (*self.images.values(), self.labels))


def _recognised(files: Iterable[RawFile], dataset: RawDataset) -> _Found:
    """Files by tile and kind; of two for the same purpose the first is taken."""
    found: _Found = {}
    known = {name for names in dataset.splits.values() for name in names}
    for raw in files:
        key = dataset.recognise(raw) or dataset.recognise_on_request(raw)
        if key is not None and key[0] in known:
            found.setdefault(key[0], {}).setdefault(key[1], raw)
    return found


def _offer(found: _Found, dataset: RawDataset, variants: Sequence[str]) -> None:
    """Refuse where only images are there that nobody has asked for."""
    there = [variant for variant in dataset.on_request if any(variant in held for held in found.values())]
    if there and not variants:
        parts = ' or '.join(variant for variant, source in dataset.made_of.items() if source == there[0])
        raise UserError(
            None,
            f'no {dataset.title} images but {dataset.on_request[there[0]].format(tile="*")} found',
            f'convert them with --bands {there[0]}, or three of their bands with --bands {parts}',
        )


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
        sources = {**dataset.images, **dataset.on_request}
        lacking = [sources[variant] for variant in variants if variant not in files]
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
        variants: Images wanted, also those made of others; None takes those of which at least one is there.
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
        _offer(found, dataset, variants)
    for held in found.values():
        held.update({v: held[dataset.made_of[v]] for v in variants if v not in held and dataset.made_of.get(v) in held})
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
