"""MMEngine's local files, written whole or not at all."""

from __future__ import annotations

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from dlc_mmseg.files.atomic_writing import write_atomically


class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, with writing that a kill or a full disk cannot cut short.

    MMEngine writes a checkpoint into the very file that the run would be resumed from. This backend writes with
    `write_atomically`.
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
