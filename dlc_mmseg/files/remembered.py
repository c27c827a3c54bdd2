"""What was found of the files of a folder: kept in one JSON file there, until they change."""

from __future__ import annotations

import errno
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import write_atomically

_ANYONE_WRITES = 0o222
Stamp = list[int]
"""Bytes and time of modification (in nanoseconds) of the files that a finding depends on."""


def remembered(
    path: Path,
    kind: str,
    version: int,
    made_by: str,
    stamps: Mapping[str, Stamp],
    find: Callable[[list[str]], Iterable[dict[str, Any]]],
) -> dict[str, dict[str, Any]]:
    """Findings of files: read where the JSON file knows them, otherwise found and kept.

    The file reads ``{"format": kind, "version": version, "made_by": made_by, "files": {name: {"stamp": [..], ..}}}``.
    It counts as empty if it is damaged, of another version, or made in another way. Entries of files that are gone are
    dropped, those of other files kept. A folder that cannot be written to costs the finding at every start, said in one
    warning.

    Args:
        path: The JSON file; names are relative to its folder.
        kind: What is kept.
        version: Version of its layout.
        made_by: How it is found, with all settings.
        stamps: Of each file asked for, by name.
        find: Gives the findings of files, in the order of their names, each a dict that JSON can hold.

    Returns:
        Findings by name, of exactly the files asked for.
    """
    known = _read(path, kind, version, made_by)
    valid = {name: known[name] for name, stamp in stamps.items() if known.get(name, {}).get('stamp') == stamp}
    missing = [name for name in stamps if name not in valid]
    if missing:
        found = zip(missing, find(missing), strict=True)
        valid.update({name: {'stamp': stamps[name], **entry} for name, entry in found})
        kept = {name: entry for name, entry in known.items() if (path.parent / name).is_file()}
        files = dict(sorted({**kept, **valid}.items()))
        _write(path, kind, {'format': kind, 'version': version, 'made_by': made_by, 'files': files})
    return {name: valid[name] for name in stamps}


def stamp_of(*paths: str | Path) -> Stamp:
    """Stamp of files.

    Args:
        paths: The files.

    Raises:
        UserError: If one cannot be read.
    """
    stamp: Stamp = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError as error:
            raise UserError(path, f'cannot be read ({error.strerror})', 'restore the file') from error
        stamp += [status.st_size, status.st_mtime_ns]
    return stamp


def _read(path: Path, kind: str, version: int, made_by: str) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if (content['format'], content['version'], content['made_by']) != (kind, version, made_by):
            return {}
        return {str(name): dict(entry) for name, entry in content['files'].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(path: Path, kind: str, content: Mapping[str, Any]) -> None:
    try:
        if not path.parent.stat().st_mode & _ANYONE_WRITES:  # root could, but is not meant to
            raise PermissionError(errno.EACCES, 'folder is read-only')
        write_atomically(path, json.dumps(content, ensure_ascii=False).encode())
    except OSError as error:
        what = f'{kind} cannot be kept ({error.strerror or error}) and are found at every start'
        print_log(f'{path}: {what}', logger='current', level=logging.WARNING)
