"""Label pixels of the source images: which classes each of them holds."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray

from dlc_mmseg.datasets.class_statistics import count_tile, load_class_statistics
from dlc_mmseg.datasets.domain import missing_files
from dlc_mmseg.datasets.label_codes import holds_colours
from dlc_mmseg.datasets.label_encoding import check_label_values, class_counts, zero_based_label_hint
from dlc_mmseg.datasets.nesting import leaf_datasets
from dlc_mmseg.datasets.nodata_labels import without_nodata
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import TileStatistics
from dlc_mmseg.functional.spread import spread_indices


class LabelledTile(NamedTuple):
    """A source image and its label pixels.

    Attributes:
        info: The dataset's entry with ``seg_map_path``, ``reduce_zero_label`` and ``label_map``.
        statistics: Counts by raw label value.
    """

    info: dict[str, Any]
    statistics: TileStatistics


def check_labels_exist(dataset: Any) -> None:
    """Refuse a source whose images lack label images.

    Args:
        dataset: The built source.

    Raises:
        UserError: Naming the first image without labels and what to correct.
    """
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    unlabelled = [info['img_path'] for info in infos if not info.get('seg_map_path')]
    if unlabelled:
        raise UserError(unlabelled[0], 'source has no labels', 'set data_prefix=dict(img_path=..., seg_map_path=...)')
    missing = missing_files(info['seg_map_path'] for info in infos)
    if missing:
        suffix = getattr(next(leaf_datasets(dataset)), 'seg_map_suffix', None)
        raise UserError(
            missing[0],
            f'label image is missing ({len(missing)} of {len(infos)} are)',
            f'correct data_prefix.seg_map_path or seg_map_suffix ({suffix!r}) of the source',
        )


def count_source(dataset: Any, statistics: str | None = None) -> list[LabelledTile]:
    """Label pixels of all images of a dataset, from statistics files where these match.

    Args:
        dataset: The built source; a wrapper may join several annotation folders.
        statistics: Statistics file to take instead of those beside the labels; needs a single annotation folder.

    Returns:
        One entry per index of the dataset.

    Raises:
        UserError: If a label image cannot be read, or the given file does not match the labels.
    """
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    folders = _annotation_folders(dataset)
    places = [_place(info['seg_map_path'], folders) for info in infos]
    names: defaultdict[str, list[str]] = defaultdict(list)
    for folder, name in dict.fromkeys(places):
        names[folder].append(name)
    if statistics is not None and len(names) > 1:
        raise UserError(statistics, f'one statistics file cannot serve {len(names)} label folders', 'leave it out')
    coloured = {folder for info, (folder, _) in zip(infos, places, strict=True) if holds_colours(info)}
    known = {
        folder: load_class_statistics(folder, names[folder], path=statistics, colours=folder in coloured)
        for folder in names
    }
    tiles = _with_data(dataset, infos, [known[folder][name] for folder, name in places])
    return [LabelledTile(info, tile) for info, tile in zip(infos, tiles, strict=True)]


def count_sample(dataset: Any, number: int) -> list[LabelledTile]:
    """Label pixels of a few images, evenly spread over a dataset.

    Args:
        dataset: The built source.
        number: Images to read at most.

    Returns:
        Their entries.

    Raises:
        UserError: If a label image cannot be read.
    """
    infos = [dataset.get_data_info(index) for index in spread_indices(len(dataset), number)]
    counted = [count_tile(info['seg_map_path'], colours=holds_colours(info)) for info in infos]
    return [LabelledTile(info, statistics) for info, statistics in zip(infos, counted, strict=True)]


def check_labels(tiles: Sequence[LabelledTile], num_classes: int, ignore_index: int) -> None:
    """Refuse values that are no class; warn where the encoding looks shifted by one.

    Args:
        tiles: Images to check.
        num_classes: Number of classes K.
        ignore_index: The dataset's ignored label.

    Raises:
        UserError: Naming the first offending file, its values and the remedy.
    """
    check_label_values(tiles, num_classes, ignore_index)
    hint = zero_based_label_hint(tiles, num_classes)
    if hint is not None:
        print_log(str(hint), logger='current', level=logging.WARNING)


def class_count_table(tiles: Sequence[LabelledTile], num_classes: int) -> NDArray[np.int64]:
    """Pixels of each class in each image.

    Args:
        tiles: N images.
        num_classes: Number of classes K.

    Returns:
        Shape (N, K).
    """
    return np.array([class_counts(tile.statistics, tile.info, num_classes) for tile in tiles], dtype=np.int64)


def _with_data(dataset: Any, infos: Sequence[dict[str, Any]], tiles: Sequence[TileStatistics]) -> list[TileStatistics]:
    """Label pixels of tiles where the image, loaded as its dataset loads it, holds data."""
    found = list(tiles)
    left = set(range(len(infos)))
    for leaf in leaf_datasets(dataset):
        paths = {leaf.get_data_info(index)['img_path'] for index in range(len(leaf))}
        own = sorted(index for index in left if infos[index]['img_path'] in paths)
        left.difference_update(own)
        parts = without_nodata([infos[i] for i in own], [tiles[i] for i in own], leaf.pipeline.transforms)
        for index, tile in zip(own, parts, strict=True):
            found[index] = tile
    return found


def _annotation_folders(dataset: Any) -> list[str]:
    folders = {str(leaf.data_prefix.get('seg_map_path') or '') for leaf in leaf_datasets(dataset)}
    return sorted(folders - {''}, key=len, reverse=True)


def _place(path: str, folders: Sequence[str]) -> tuple[str, str]:
    for folder in folders:
        name = path.removeprefix(f'{folder}{os.sep}')
        if name == path or name != os.path.normpath(name) or os.path.isabs(name):  # else the quick way is the right one
            name = os.path.relpath(path, folder)
        if name.split(os.sep)[0] != os.pardir:
            return folder, name.replace(os.sep, '/')
    return os.path.split(path)
