"""Which checkpoint of a work folder a run is resumed from."""

from __future__ import annotations

import logging
import re
import zipfile
from pathlib import Path

from mmengine.logging import print_log

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import remove_leftovers, write_atomically


def is_complete(path: Path) -> bool:
    """Whether a checkpoint is there from its first to its last byte, by the checksums it carries."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.namelist()) and archive.testzip() is None
    except Exception:  # noqa: BLE001, a damaged file may raise anything
        return False


def choose_latest(folder: Path) -> Path | None:
    """Make the file ``last_checkpoint``, which MMEngine resumes from, name a complete checkpoint.

    A checkpoint that a kill cut off, or a ``last_checkpoint`` that it or a power cut left without content, gives way
    to the latest complete checkpoint of the folder; what a killed process left half-written is removed. A remote
    checkpoint (``scheme://``) is left to MMEngine.

    Args:
        folder: The run's ``work_dir``.

    Returns:
        The checkpoint; None if it is remote, or if the folder has none, so that training starts from the beginning.

    Raises:
        UserError: If the folder has checkpoints, but none that is complete.
    """
    remove_leftovers(folder)
    record = folder / 'last_checkpoint'
    text = record.read_text(encoding='utf-8', errors='replace').strip() if record.is_file() else ''
    if text.startswith('\ufeff'):  # of an editor; MMEngine would take it for a part of the path
        text = text.lstrip('\ufeff')
        write_atomically(record, text.encode())
    if '://' in text:
        return None
    named = Path(text) if text and '\0' not in text else None
    if named is not None and is_complete(named):
        return named
    others = _by_iteration([folder, *([named.parent] if named is not None else [])])
    for checkpoint in others:
        if checkpoint != named and is_complete(checkpoint):
            reason = f'{named} is missing, cut off or damaged' if named is not None else f'{record} names none'
            print_log(f'{reason}: resuming from {checkpoint}', logger='current', level=logging.WARNING)
            write_atomically(record, str(checkpoint).encode())
            return checkpoint
    if not record.is_file() and not others:
        return None
    raise UserError(
        named or record,
        f'missing, cut off or damaged, and {folder} holds no other checkpoint to resume from',
        'copy one there, or train without --resume',
    )


def _by_iteration(folders: list[Path]) -> list[Path]:
    """Checkpoints of MMEngine's naming, latest first."""
    numbered = {}
    for folder in folders:
        for path in folder.glob('*.pth'):
            match = re.fullmatch(r'(?:iter|epoch)_(\d+)\.pth', path.name)
            if match:
                numbered[path] = int(match[1])
    return sorted(numbered, key=lambda path: numbered[path], reverse=True)
