"""Which label belongs to which image, by their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

_SEPARATORS = '_-. '
_ENOUGH = 0.5
"""Share of the fewer files that must have a partner, so that they are taken for images and their labels."""


@dataclass(frozen=True)
class NameMatch:
    """What names of images and of their labels have in common.

    Attributes:
        image_prefix: How all image names begin.
        image_suffix: How they end.
        label_prefix: How all label names begin.
        label_suffix: How they end.
        names: What lies between, of all images with a label; sorted.
    """

    image_prefix: str
    image_suffix: str
    label_prefix: str
    label_suffix: str
    names: tuple[str, ...]

    def image(self, name: str) -> str:
        """File name of an image."""
        return f'{self.image_prefix}{name}{self.image_suffix}'

    def label(self, name: str) -> str:
        """File name of its label."""
        return f'{self.label_prefix}{name}{self.label_suffix}'

    @property
    def by_suffix(self) -> bool:
        """Whether names differ in their endings only."""
        return self.image_prefix == self.label_prefix


def match_names(images: Sequence[str], labels: Sequence[str]) -> NameMatch | None:
    """Match names that differ in their endings or, where these do not match, in their beginnings.

    Args:
        images: File names, all with the same extension, with ``/`` between folders.
        labels: The same.

    Returns:
        See `match_endings` and `match_beginnings`.
    """
    return match_endings(images, labels) or match_beginnings(images, labels)


def match_endings(images: Sequence[str], labels: Sequence[str]) -> NameMatch | None:
    """Match names that differ in their endings, such as ``a_RGB.tif`` and ``a_label.tif``.

    Args:
        images: File names, all with the same extension, with ``/`` between folders.
        labels: The same.

    Returns:
        The match of most files, with the shortest differences; None if fewer than half find a partner.
    """
    return _best(images, labels, ('', ''))


def match_beginnings(images: Sequence[str], labels: Sequence[str]) -> NameMatch | None:
    """Match names that differ in their beginnings, such as ``img_1.png`` and ``mask_1.png``, or one with one.

    Args:
        images: As in `match_endings`.
        labels: The same.

    Returns:
        As `match_endings`; one image and one label always match.
    """
    prefixes = _beginning(images), _beginning(labels)
    match = _best(images, labels, prefixes) if prefixes[0] != prefixes[1] else None
    if match is None and len(images) == len(labels) == 1:
        image, label = (PurePosixPath(name) for name in (images[0], labels[0]))
        return NameMatch(str(image.with_suffix('')), image.suffix, str(label.with_suffix('')), label.suffix, ('',))
    return match


def _best(images: Sequence[str], labels: Sequence[str], prefixes: tuple[str, str]) -> NameMatch | None:
    best: tuple[int, int, NameMatch] | None = None
    for image_suffix in _endings(images):
        stems = _stems(images, prefixes[0], image_suffix)
        for label_suffix in _endings(labels):
            names = tuple(sorted(stems & _stems(labels, prefixes[1], label_suffix)))
            removed = len(image_suffix) + len(label_suffix)
            if best is None or (len(names), -removed) > best[:2]:
                best = len(names), -removed, NameMatch(prefixes[0], image_suffix, prefixes[1], label_suffix, names)
    enough = best is not None and best[0] >= _ENOUGH * min(len(images), len(labels))
    return best[2] if best is not None and enough else None


def _stems(names: Sequence[str], prefix: str, suffix: str) -> set[str]:
    least = len(prefix) + len(suffix)
    return {
        name[len(prefix) : len(name) - len(suffix)] for name in names if len(name) > least and name.startswith(prefix)
    }


def _endings(names: Sequence[str]) -> list[str]:
    """The extension, and longer endings that all names share, cut at separators; the shortest first."""
    suffix = PurePosixPath(names[0]).suffix
    common = _shared_beginning([name[: len(name) - len(suffix)][::-1] for name in names])[::-1]
    places = [place for place in range(len(common) - 1, -1, -1) if common[place] in _SEPARATORS]
    return [suffix, *(common[place:] + suffix for place in places)]


def _beginning(names: Sequence[str]) -> str:
    """What all names begin with, without the digits at its end."""
    suffix = PurePosixPath(names[0]).suffix
    return _shared_beginning([name[: len(name) - len(suffix)] for name in names]).rstrip('0123456789')


def _shared_beginning(names: Sequence[str]) -> str:
    first, last = min(names), max(names)
    length = next((place for place, letter in enumerate(first) if letter != last[place]), len(first))
    return first[:length]
