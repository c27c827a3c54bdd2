"""How raw label values become classes, and what is wrong with values that do not."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from dlc_mmseg.datasets.label_codes import IGNORED, code_text, holds_colours
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import TileStatistics

MAP_REMEDY = "add them to label_map: to the class that they mean, or to 'ignored'"


def class_of_value(value: int, *, reduce_zero_label: bool, label_map: Mapping[int, int] | None) -> int:
    """Label that MMSegmentation's `LoadAnnotations` makes of a raw value.

    Args:
        value: Raw value in ``0..255``.
        reduce_zero_label: Whether 0 is ignored and the others move down by one.
        label_map: Replacement of labels after that; values it lacks stay.

    Returns:
        The label; 255 where the pixel is ignored.
    """
    if reduce_zero_label:
        value = IGNORED if value in (0, IGNORED) else value - 1
    return value if label_map is None else label_map.get(value, value)


def class_counts(tile: TileStatistics, info: Mapping[str, Any], num_classes: int) -> list[int]:
    """Pixels of each class in a tile.

    Args:
        tile: Counts by raw value.
        info: The dataset's entry of the tile, with ``reduce_zero_label`` and ``label_map``.
        num_classes: Number of classes K.

    Returns:
        K counts; values of no class are left out.
    """
    counts = [0] * num_classes
    for value, pixels in tile.counts.items():
        label = _label(value, info)
        if 0 <= label < num_classes:
            counts[label] += pixels
    return counts


def check_label_values(
    tiles: Iterable[tuple[Mapping[str, Any], TileStatistics]], num_classes: int, ignore_index: int = IGNORED
) -> None:
    """Refuse label values that are neither a class nor ignored.

    Args:
        tiles: Pairs of a dataset's entry (``seg_map_path``, ``reduce_zero_label``, ``label_map``) and its
            tile's counts.
        num_classes: Number of classes K.
        ignore_index: The dataset's further ignored label.

    Raises:
        UserError: Naming the first offending file, its values and the remedy.
    """
    allowed = {*range(num_classes), ignore_index, IGNORED}
    for info, tile in tiles:
        strange = strange_values(tile.counts, info, allowed)
        if not strange:
            continue
        if 'label_codes' in info:
            codes = ', '.join(code_text(value, colours=holds_colours(info)) for value in strange)
            raise UserError(info['seg_map_path'], f'holds {codes}, which label_map does not name', MAP_REMEDY)
        reduced = bool(info.get('reduce_zero_label'))
        remedy = 'convert the labels to class indices or correct metainfo.classes'
        if strange == [num_classes] and not reduced:
            remedy = 'set reduce_zero_label=True if labels count from 1 and 0 means unlabelled'
        raise UserError(
            info['seg_map_path'],
            f'label values {strange} are none of the {num_classes} classes (reduce_zero_label={reduced})',
            remedy,
        )


def strange_values(values: Iterable[int], info: Mapping[str, Any], allowed: Container[int]) -> list[int]:
    """Raw values that are neither a class nor ignored.

    Args:
        values: As stored in the label image.
        info: The dataset's entry, with ``reduce_zero_label`` and ``label_map``.
        allowed: Labels that may be.
    """
    mapped = info.get('label_map') or {}
    return [v for v in values if not (v in mapped or 0 <= v <= IGNORED) or _label(v, info) not in allowed]


def zero_based_label_hint(
    tiles: Iterable[tuple[Mapping[str, Any], TileStatistics]], num_classes: int, *, zero_share: float = 0.15
) -> UserError | None:
    """Notice a label set that starts at class 0 although ``reduce_zero_label`` treats 0 as unlabelled.

    Tiles cut by the original release of DLC hold 0..5 for six classes, those of MMSegmentation and of this package's
    converters 0..6. Read with ``reduce_zero_label=True`` the former lose their first class and shift the others.

    Args:
        tiles: As in `check_label_values`, from the whole label set or a sample of it.
        num_classes: Number of classes K.
        zero_share: Share of 0 above which unlabelled pixels are unlikely.

    Returns:
        What to warn of, not raised since it may be meant; None if nothing is suspicious.
    """
    zeros = total = 0
    first = ''
    for info, tile in tiles:
        if not info.get('reduce_zero_label') or num_classes in tile.counts:
            return None
        first = first or str(info['seg_map_path'])
        zeros += tile.counts.get(0, 0)
        total += sum(tile.counts.values())
    if not total or zeros / total <= zero_share:
        return None
    return UserError(
        first,
        f'no pixel here and in others has the value {num_classes} and {zeros / total:.0%} have 0, which '
        f'reduce_zero_label=True ignores',
        f'labels that run from 0 to {num_classes - 1} need reduce_zero_label=False',
    )


def _label(value: int, info: Mapping[str, Any]) -> int:
    reduced = bool(info.get('reduce_zero_label'))
    return class_of_value(value, reduce_zero_label=reduced, label_map=info.get('label_map'))
