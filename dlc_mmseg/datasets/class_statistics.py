"""Label pixels per class and tile: counted once, kept as one file beside the tiles (`files.statistics_file`)."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from mmengine.logging import print_log

from dlc_mmseg.datasets.label_codes import decode_labels
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import (
    STATISTICS_FILE_NAME,
    TileStatistics,
    count_labels,
    read_class_statistics,
    write_class_statistics,
)

_ANYONE_WRITES = 0o222


def count_tile(path: str | os.PathLike[str], *, colours: bool = False) -> TileStatistics:
    """Label pixels of one label image, read as MMSegmentation's ``LoadAnnotations`` reads it.

    Args:
        path: Single-channel label image; a palette image counts its indices.
        colours: Whether to count colours, by their codes (see `LabelCodes`), instead.

    Returns:
        Size and counts of the tile.

    Raises:
        UserError: If the file is missing, does not decode, or is no single-channel integer image.
    """
    try:
        labels = decode_labels(Path(path).read_bytes(), colours=colours)
    except FileNotFoundError:
        raise UserError(path, 'label image is missing', 'add it or remove the image it belongs to') from None
    except Exception as error:
        reason = ' '.join(str(error).split())
        raise UserError(path, f'cannot be read as a label image ({reason})', 'restore the file') from error
    if labels.ndim != 2 or labels.dtype.kind not in 'biu':
        raise UserError(
            path,
            f'label image has shape {labels.shape} and dtype {labels.dtype}',
            'labels are single-channel integers, convert the tiles first',
        )
    return TileStatistics((int(labels.shape[0]), int(labels.shape[1])), count_labels(labels))


def compute_class_statistics(
    ann_dir: str | os.PathLike[str],
    names: Iterable[str] | None = None,
    *,
    suffix: str = '.png',
    workers: int | None = None,
    colours: bool = False,
) -> dict[str, TileStatistics]:
    """Count the label pixels of tiles.

    Args:
        ann_dir: Annotation directory.
        names: Tiles relative to ``ann_dir``; None takes every file below it that ends in ``suffix``.
        suffix: Ending of label images.
        workers: Threads; None takes one per processor, at most 16.
        colours: Whether to count colours, see `count_tile`.

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
        count = partial(count_tile, colours=True) if colours else count_tile
        tiles = pool.map(count, [ann_dir / name for name in names])
        return dict(zip(names, tiles, strict=True))


def load_class_statistics(
    ann_dir: str | os.PathLike[str],
    names: Iterable[str],
    *,
    path: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    colours: bool = False,
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
        colours: Whether to count colours, see `count_tile`.

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
    stale = [name for name in names if name in known and _is_newer(os.path.join(ann_dir, name), written)]
    if path is not None and (missing or stale):
        fault = f'has no entry for {missing[0]}' if missing else f'is older than {stale[0]}'
        others = len(missing or stale) - 1
        raise UserError(cache, f'{fault} (and {others} more)', 'write it anew or leave out `statistics`')
    if path is None:
        known = _refresh(cache, known, [*missing, *stale], workers, colours=colours)
    return {name: known[name] for name in names}


def _is_newer(tile: str, written: int) -> bool:
    try:
        return os.stat(tile).st_mtime_ns > written
    except OSError:  # not there, which is found elsewhere
        return False


def _refresh(
    cache: Path, known: dict[str, TileStatistics], outdated: list[str], workers: int | None, *, colours: bool
) -> dict[str, TileStatistics]:
    kept = {name: entry for name, entry in known.items() if os.path.isfile(os.path.join(cache.parent, name))}
    if not outdated and len(kept) == len(known):
        return known
    if outdated:
        print_log(f'Counting label pixels of {len(outdated)} tiles in {cache.parent}', logger='current')
        kept.update(compute_class_statistics(cache.parent, outdated, workers=workers, colours=colours))
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
