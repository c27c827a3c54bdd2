"""Label pixels per class and tile: counted once, kept as one JSON file beside the tiles.

The file ``<ann_dir>/class_statistics.json`` reads::

    {"format": "dlc_mmseg class statistics", "version": 1,
     "files": {"<name relative to ann_dir>": {"size": [H, W], "counts": {"<raw label value>": pixels}}}}

Values are raw: as stored in the label image, before ``reduce_zero_label`` or a ``label_map``.
"""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import mmcv
import numpy as np
from mmengine.logging import print_log
from numpy.typing import NDArray

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import remove_leftovers, write_atomically

STATISTICS_FILE_NAME = 'class_statistics.json'
_FORMAT = 'dlc_mmseg class statistics'
_VERSION = 1
_ANYONE_WRITES = 0o222


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


def count_tile(path: str | os.PathLike[str]) -> TileStatistics:
    """Label pixels of one label image, read as MMSegmentation's ``LoadAnnotations`` reads it.

    Args:
        path: Single-channel label image; a palette image counts its indices.

    Returns:
        Size and counts of the tile.

    Raises:
        UserError: If the file is missing, does not decode, or is no single-channel integer image.
    """
    try:
        labels = mmcv.imfrombytes(Path(path).read_bytes(), flag='unchanged', backend='pillow')
    except FileNotFoundError:
        raise UserError(path, 'label image is missing', 'add it or remove the image it belongs to') from None
    except Exception as error:
        reason = ' '.join(str(error).split())
        raise UserError(path, f'cannot be read as a label image ({reason})', 'restore the file') from error
    labels = labels[..., 0] if labels.ndim == 3 and labels.shape[2] == 1 else labels
    if labels.ndim != 2 or labels.dtype.kind not in 'biu':
        raise UserError(
            path,
            f'label image has shape {labels.shape} and dtype {labels.dtype}',
            'labels are single-channel integers, convert the tiles first',
        )
    return TileStatistics((int(labels.shape[0]), int(labels.shape[1])), count_labels(labels))


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


def compute_class_statistics(
    ann_dir: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    suffix: str = '.png',
    workers: int | None = None,
) -> dict[str, TileStatistics]:
    """Count the label pixels of tiles.

    Args:
        ann_dir: Annotation directory.
        names: Tiles relative to ``ann_dir``; None takes every file below it that ends in ``suffix``.
        suffix: Ending of label images.
        workers: Threads; None takes one per processor, at most 16.

    Returns:
        Statistics by tile name, in the order of ``names``.

    Raises:
        UserError: If a tile cannot be read.
    """
    ann_dir = Path(ann_dir)
    if names is None:
        names = sorted(path.relative_to(ann_dir).as_posix() for path in ann_dir.rglob(f'*{suffix}'))
    names = list(names)
    with ThreadPoolExecutor(workers or min(os.cpu_count() or 1, 16)) as pool:
        tiles = pool.map(count_tile, [ann_dir / name for name in names])
        return dict(zip(names, tiles, strict=True))


def load_class_statistics(
    ann_dir: str | os.PathLike[str],
    names: Iterable[str],
    *,
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
) -> dict[str, TileStatistics]:
    """Statistics of the given tiles: read where a file matches them, otherwise counted and kept.

    Only tiles that the file lacks or that are newer than the file are counted. Entries of tiles that are gone
    are dropped, entries of other tiles kept: several splits of one flat folder share a file. A folder that
    cannot be written to costs the count at every start, said in one warning.

    Args:
        ann_dir: Annotation directory.
        names: Tiles needed, relative to ``ann_dir``, with forward slashes.
        path: Statistics file that must match and is never rewritten; None takes
            ``<ann_dir>/class_statistics.json`` and keeps it up to date.
        workers: Threads that count; None takes one per processor, at most 16.

    Returns:
        Statistics of exactly the tiles in ``names``.

    Raises:
        UserError: If a tile cannot be read, or if the file at ``path`` lacks a tile or is older than one.
    """
    ann_dir, names = Path(ann_dir), list(names)
    cache = Path(path) if path is not None else ann_dir / STATISTICS_FILE_NAME
    known = read_class_statistics(cache) if path is not None or cache.is_file() else {}
    missing = [name for name in names if name not in known]
    written = cache.stat().st_mtime_ns if known else 0
    stale = [name for name in names if name in known and _is_newer(ann_dir / name, written)]
    if path is not None and (missing or stale):
        fault = f'has no entry for {missing[0]}' if missing else f'is older than {stale[0]}'
        others = len(missing or stale) - 1
        raise UserError(cache, f'{fault} (and {others} more)', 'write it anew or leave out `statistics`')
    if path is None:
        known = _refresh(cache, known, [*missing, *stale], workers)
    return {name: known[name] for name in names}


def _is_newer(tile: Path, written: int) -> bool:
    return tile.is_file() and tile.stat().st_mtime_ns > written


def _refresh(
    cache: Path, known: dict[str, TileStatistics], outdated: list[str], workers: int | None
) -> dict[str, TileStatistics]:
    kept = {name: entry for name, entry in known.items() if (cache.parent / name).is_file()}
    if not outdated and len(kept) == len(known):
        return known
    if outdated:
        print_log(f'Counting label pixels of {len(outdated)} tiles in {cache.parent}', logger='current')
        kept.update(compute_class_statistics(cache.parent, outdated, workers=workers))
    try:
        if not cache.parent.stat().st_mode & _ANYONE_WRITES:  # root could, but is not meant to
            raise PermissionError(errno.EACCES, 'folder is read-only')
        write_class_statistics(cache, kept)
    except OSError as error:
        print_log(
            f'{cache}: class statistics cannot be kept ({error.strerror}) and are counted at every start',
            logger='current',
            level=logging.WARNING,
        )
    return kept
