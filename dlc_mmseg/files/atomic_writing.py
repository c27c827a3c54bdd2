"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

from mmengine.fileio import LocalBackend, register_backend

PART_SUFFIX = '.part'
"""Ending of files that are being written; one that is left over belongs to a process that was killed."""


class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, with writing that a kill or a full disk cannot cut short.

    MMEngine writes a checkpoint into the very file that the run would be resumed from. Here the content goes to a
    file beside it, reaches the disk, and then takes the name in one step.
    """

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write bytes to a file; its folder is made if need be."""
        write_atomically(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write text to a file; its folder is made if need be."""
        write_atomically(filepath, obj.encode(encoding))


def register_atomic_backend() -> None:
    """Make `AtomicLocalBackend` the backend of local files, for the whole process."""
    register_backend('local', AtomicLocalBackend, force=True, prefixes='')


def write_atomically(path: str | Path, content: bytes | memoryview) -> None:
    """Write a file so that its name holds either what it held before or all of the new content.

    Args:
        path: The file; links are followed.
        content: What to write.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and not target.is_file():  # a device such as /dev/null
        target.write_bytes(content)
        return
    part = target.with_name(f'.{target.name}.{uuid4().hex}{PART_SUFFIX}')
    try:
        with open(part, 'xb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
