"""Split files: lists of images, those that lie beside a data set and those that are written for it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

_PARTS = {'train': ('train', 'training'), 'val': ('val', 'valid', 'validation', 'test', 'eval')}


def find_splits(folder: Path, names: Collection[str]) -> dict[str, Path]:
    """Split files of a folder that name its images.

    Args:
        folder: Where they lie.
        names: The images, without ending.

    Returns:
        File by part, ``train`` or ``val``.
    """
    known, found = set(names), {}
    for part, words in _PARTS.items():
        for word in words:
            path = folder / f'{word}.txt'
            listed = read_split(path) if path.is_file() else []
            if listed and part not in found and known.issuperset(listed):
                found[part] = path
    return found


def read_split(path: Path) -> list[str]:
    """Names in a split file; empty where it cannot be read."""
    try:
        return [line.strip() for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        return []


def evenly(names: Sequence[str], most: int) -> list[str]:
    """At most so many names, evenly spread."""
    if len(names) <= most:
        return list(names)
    return [names[number * len(names) // most] for number in range(most)]


def relative_to_root(path: Path, root: Path) -> str:
    """A path as a config names it beside ``data_root``; links are resolved, as ``..`` goes by them.

    Args:
        path: The file or folder.
        root: The data set's root.
    """
    try:
        relative = path.relative_to(root)
    except ValueError:
        try:
            return Path(os.path.relpath(path.resolve(), root.resolve())).as_posix()
        except ValueError:  # on another drive
            return path.resolve().as_posix()
    return relative.as_posix()
