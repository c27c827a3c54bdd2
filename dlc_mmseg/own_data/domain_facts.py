"""What the images of a data set have in common."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlc_mmseg.own_data.finding import Found
from dlc_mmseg.own_data.image_facts import ImageFacts, read_facts

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Shows progress: passes on items, given what is done to them and how many there are."""


@dataclass(frozen=True)
class DomainFacts:
    """Facts of all images of a data set.

    Attributes:
        images: Facts by file.
        bands: Meaning of each band, of most images.
        dtype: Type of the values of most images.
        pixel_size: Metres on the ground, the median; None where neither files nor the user say it.
        size_told: Whether the user said it.
    """

    images: dict[Path, ImageFacts]
    bands: tuple[str, ...]
    dtype: str
    pixel_size: float | None
    size_told: bool

    @property
    def largest(self) -> int:
        """Longest side of an image in pixels."""
        return max(max(facts.size) for facts in self.images.values())

    def sizes(self) -> str:
        """Sizes of the images, for people."""
        sizes = sorted({facts.size for facts in self.images.values()}, key=lambda size: size[0] * size[1])
        texts = [f'{height} x {width}' for height, width in (sizes[0], sizes[-1])]
        return f'{texts[0]} pixels' if len(sizes) == 1 else f'{texts[0]} to {texts[1]} pixels'

    def kinds(self) -> str:
        """Bands and type, for people."""
        count = len(self.bands)
        names = f' ({", ".join(self.bands)})' if all(self.bands) else ''
        others = len({(len(facts.bands), facts.dtype) for facts in self.images.values()}) - 1
        mixed = ', but not all alike' if others else ''
        return f'{count} band{"s" if count > 1 else ""} of {self.dtype}{names}{mixed}'


def read_domain(found: Found, pixel_size: float | None, description: str, track: Track) -> DomainFacts:
    """Read the facts of all images.

    Args:
        found: The images.
        pixel_size: Metres on the ground, where the user says it.
        description: Shown beside the progress.
        track: Shows the progress.

    Raises:
        UserError: If an image cannot be read.
    """
    paths = [found.layout.image(name) for name in found.layout.names]
    images = {path: read_facts(path) for path in track(paths, description, len(paths))}
    (bands, dtype), _ = Counter((facts.bands, facts.dtype) for facts in images.values()).most_common(1)[0]
    known = [facts.pixel_size for facts in images.values() if facts.pixel_size is not None]
    size = pixel_size if pixel_size is not None else statistics.median(known) if known else None
    return DomainFacts(images, bands, dtype, size, pixel_size is not None)
