"""Files that are written whole or not at all, also through a kill, a full disk or a power cut.

Content goes to a hidden file beside its destination, reaches the disk, and then takes the name in one step.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast
from uuid import uuid4

from dlc_mmseg.files.locking import try_lock

PART_SUFFIX = '.part'
"""Ending of files that are being written. Their writer holds a lock on them; without one it was killed."""

_LOCK = 'lock'


@contextmanager
def atomic_writer(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing, so that its name holds either what it held before or all of the new content.

    Args:
        path: The file; links are followed, its folder is made if need be.

    Yields:
        Binary stream, which can be read and repositioned too. Leaving the block without an exception gives what was
        written its name; an exception leaves everything as it was.

    Raises:
        OSError: If the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not target.is_file():  # a device such as /dev/null; a folder refuses
        with target.open('wb') as device:
            yield device
        return
    part = target.with_name(f'.{target.name}.{uuid4().hex}{PART_SUFFIX}')
    try:
        with part.open('x+b') as file:
            try_lock(file)
            yield cast(BinaryIO, file)
            _take_name(file, part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As `atomic_writer`, for programs that open files by their name and may put others beside them.

    Args:
        path: The file; links are followed, its folder is made if need be.

    Yields:
        A path of the same file name in a hidden folder, where nothing is yet. Files that lie beside it in the end are
        removed with the folder.

    Raises:
        OSError: If the file cannot be written, or was not.
    """
    target = Path(os.path.realpath(path))
    folder = target.with_name(f'.{target.name}.{uuid4().hex}{PART_SUFFIX}')
    folder.mkdir(parents=True)
    try:
        with (folder / _LOCK).open('xb') as lock:
            try_lock(lock)
            part = folder / target.name
            yield part
            with part.open('r+b') as file:
                _take_name(file, part, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _take_name(file: IO[bytes], part: Path, target: Path) -> None:
    """Give a file its name once its content has reached the disk."""
    file.flush()
    os.fsync(file.fileno())
    os.replace(part, target)


def write_atomically(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a file as `atomic_writer` does.

    Args:
        path: The file.
        content: All of its new content.

    Raises:
        OSError: If the file cannot be written.
    """
    with atomic_writer(path) as file:
        file.write(content)


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete what killed processes left half-written in a folder; files that are being written stay.

    Args:
        folder: The folder; it need not exist.

    Raises:
        OSError: If a file cannot be deleted.
    """
    for part in Path(folder).glob(f'.*{PART_SUFFIX}'):
        try:
            with (part / _LOCK if part.is_dir() else part).open('rb') as file:
                abandoned = try_lock(file)
        except FileNotFoundError:  # finished or cleared away by another process meanwhile
            continue
        if abandoned and part.is_dir():
            shutil.rmtree(part)
        elif abandoned:
            part.unlink(missing_ok=True)
