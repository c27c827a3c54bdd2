"""Files that are written whole or not at all, also through a kill, a full disk or a power cut.

Content goes to a hidden file beside its destination, reaches the disk, and then takes the name in one step.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from dlc_mmseg.files.locking import try_lock

PART_SUFFIX = '.part'
"""Ending of files that are being written. Their writer holds a lock on them; without one it was killed."""


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
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


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
            with part.open('rb') as file:
                abandoned = try_lock(file)
        except FileNotFoundError:  # finished or cleared away by another process meanwhile
            continue
        if abandoned:
            part.unlink(missing_ok=True)
