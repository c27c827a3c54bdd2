"""Names of images without their folders, under which others write maps and pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple


class EqualNames(NamedTuple):
    """Images of different folders, or of different suffixes, with one name.

    Attributes:
        images: Number of images.
        names: Number of different names.
        first: Two images of one name.
    """

    images: int
    names: int
    first: tuple[str, str]

    @property
    def what(self) -> str:
        """The finding in words."""
        return (
            f'{self.images} images have {self.names} different names ({self.first[0]}, {self.first[1]}): the map of a '
            'later one overwrites that of an earlier one'
        )


def equal_names(paths: Iterable[str]) -> EqualNames | None:
    """Find images that share their file name without folders and suffix.

    Args:
        paths: Paths of images; one that occurs twice counts once.

    Returns:
        What they share; None if all names differ.
    """
    named: defaultdict[str, list[str]] = defaultdict(list)
    paths = list(dict.fromkeys(paths))
    for path in paths:
        named[PurePath(path).stem].append(path)
    shared = next((images for images in named.values() if len(images) > 1), None)
    return None if shared is None else EqualNames(len(paths), len(named), (shared[0], shared[1]))
