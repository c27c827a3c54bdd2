"""The file that keeps label pixels per class and tile beside the tiles.

``<ann_dir>/class_statistics.json`` reads::

    {"format": "dlc_mmseg class statistics", "version": 1,
     "files": {"<name relative to ann_dir>": {"size": [H, W], "counts": {"<raw label value>": pixels}}}}

Values are raw: as stored in the label image, before ``reduce_zero_label`` or a ``label_map``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import remove_leftovers, write_atomically

STATISTICS_FILE_NAME = 'class_statistics.json'
_FORMAT = 'dlc_mmseg class statistics'
_VERSION = 1


class TileStatistics(NamedTuple):
    """Label pixels of one tile.

    Attributes:
        size: Height and width in pixels.
        counts: Pixels per raw label value; they sum to height times width.
    """

    size: tuple[int, int]
    counts: dict[int, int]


def count_labels(labels: NDArray[Any]) -> dict[int, int]:
    """Pixels per label value.

    Args:
        labels: Array of integers or booleans, any shape.

    Returns:
        Count of each value that occurs, ascending by value.

    Raises:
        ValueError: If the array holds anything but integers.
    """
    if labels.dtype == np.bool_:
        labels = labels.astype(np.uint8)
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f'labels have dtype {labels.dtype}: pass an integer array')
    if labels.dtype == np.uint8:
        counts = np.bincount(labels.reshape(-1), minlength=256)
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(labels, return_counts=True)
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def write_class_statistics(path: str | os.PathLike[str], files: Mapping[str, TileStatistics]) -> None:
    """Write the statistics of one annotation directory atomically.

    Args:
        path: JSON file to write, by convention ``<ann_dir>/class_statistics.json``.
        files: Statistics by tile name, relative to ``ann_dir``, with forward slashes.

    Raises:
        OSError: If the folder cannot be written to; an existing file is then untouched.
    """
    path = Path(path)
    entries = {
        name: {'size': list(files[name].size), 'counts': {str(k): v for k, v in files[name].counts.items()}}
        for name in sorted(files)
    }
    content = {'format': _FORMAT, 'version': _VERSION, 'files': entries}
    remove_leftovers(path.parent)
    write_atomically(path, json.dumps(content, ensure_ascii=False).encode())


def read_class_statistics(path: str | os.PathLike[str]) -> dict[str, TileStatistics]:
    """Read a statistics file.

    Args:
        path: JSON file written by :func:`write_class_statistics`.

    Returns:
        Statistics by tile name, relative to the annotation directory.

    Raises:
        UserError: If the file is missing, is no statistics file, or contradicts itself.
    """
    remedy = 'delete it, it is counted anew from the tiles'
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except FileNotFoundError:
        raise UserError(path, 'class statistics are missing', 'correct the path or leave it out') from None
    except (OSError, ValueError) as error:
        raise UserError(path, f'class statistics cannot be read ({error})', remedy) from error
    if not isinstance(content, dict) or content.get('format') != _FORMAT:
        raise UserError(path, f'is not a class statistics file (no "format": "{_FORMAT}")', remedy)
    if content.get('version') != _VERSION:
        raise UserError(path, f'version {content.get("version")} is unknown (not {_VERSION})', remedy)
    try:
        return {str(name): _parse_entry(entry) for name, entry in content['files'].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(path, f'class statistics are damaged ({error})', remedy) from error


def _parse_entry(entry: Any) -> TileStatistics:
    height, width = (int(length) for length in entry['size'])
    counts = {int(value): int(pixels) for value, pixels in entry['counts'].items()}
    if min(height, width) < 1 or any(pixels < 0 for pixels in counts.values()):
        raise ValueError(f'negative or empty entry {entry}')
    if sum(counts.values()) != height * width:
        raise ValueError(f'counts sum to {sum(counts.values())} in a tile of {height} x {width} pixels')
    return TileStatistics((height, width), counts)
