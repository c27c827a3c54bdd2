"""Where the images of a data set lie, and the labels that belong to them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dlc_mmseg.converters.raster.name_matching import NameMatch, match_beginnings, match_endings
from dlc_mmseg.own_data.series import Series


@dataclass(frozen=True)
class Layout:
    """Images, and labels of some or all of them.

    Attributes:
        images: Folder of the images, sub-folders included.
        labels: Folder of the labels; None without labels.
        match: How names of images and labels differ; relative to these folders. ``names`` are the labelled images.
        others: Names of images without a label, in the same spelling.
    """

    images: Path
    labels: Path | None
    match: NameMatch
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all images, without their common beginning and ending."""
        return tuple(sorted([*self.match.names, *self.others]))

    def image(self, name: str) -> Path:
        """File of an image."""
        return self.images / self.match.image(name)

    def label(self, name: str) -> Path:
        """File of the label of an image."""
        assert self.labels is not None
        return self.labels / self.match.label(name)

    @property
    def labelled(self) -> tuple[str, ...]:
        """Names of the images with a label."""
        return self.match.names if self.labels is not None else ()

    @property
    def expressible(self) -> bool:
        """Whether a dataset of MMSegmentation can find the labels by the images' names."""
        return self.labels is None or (self.match.by_suffix and not self.match.image_prefix)

    def surplus(self) -> bool:
        """Whether the folder holds further files that end like the images."""
        ending = self.match.image_suffix
        found = (name for _, _, names in os.walk(self.images) for name in names)
        return sum(name.endswith(ending) and not name.startswith('.') for name in found) != len(self.names)

    def without_labels(self) -> Layout:
        """The images alone."""
        return replace(self, labels=None, match=replace(self.match, names=()), others=self.names)


def pair_layouts(images: Sequence[Series], labels: Sequence[Series]) -> list[Layout]:
    """Every way in which series of images and of labels belong together by their names.

    Sub-folders that images and labels have alike are joined.

    Args:
        images: Series of images.
        labels: Series of labels.

    Returns:
        Layouts, the largest first; those that are a part of a larger one are left out.
    """
    joined: defaultdict[tuple[Path, Path, tuple[str, str, str, str]], set[str]] = defaultdict(set)
    for match_names in (match_endings, match_beginnings):
        found = [(image, label, match_names(image.names, label.names)) for image in images for label in labels]
        for image, label, match in found:
            if match is None:
                continue
            image_folder, label_folder, below = _without_common_end(image.folder, label.folder)
            ends = (match.image_prefix, match.image_suffix, match.label_prefix, match.label_suffix)
            names = {str(PurePosixPath(below, name)) if below else name for name in match.names}
            joined[image_folder, label_folder, ends] |= names
        if joined:
            break
    layouts = [
        Layout(image_folder, label_folder, NameMatch(*ends, tuple(sorted(names))))
        for (image_folder, label_folder, ends), names in joined.items()
        if not (ends[0] or ends[2]) or not any('/' in name for name in names)
    ]
    layouts.sort(key=lambda layout: (-len(layout.match.names), str(layout.images), str(layout.labels)))
    kept: list[Layout] = []
    for layout in layouts:
        files = {(layout.image(name), layout.label(name)) for name in layout.match.names}
        images_there = {path for other in kept for path in map(other.image, other.match.names)}
        labels_there = {path for other in kept for path in map(other.label, other.match.names)}
        if not all(image in images_there and label in labels_there for image, label in files):
            kept.append(layout)
    return [_with_others(layout, images) for layout in kept]


def image_layouts(images: Sequence[Series]) -> list[Layout]:
    """Series of images without labels; those of sub-folders with different file names are joined."""
    joined: dict[str, list[Series]] = {}
    for series in images:
        suffix = PurePosixPath(series.names[0]).suffix
        there = {name for other in joined.get(suffix, []) for name in other.names}
        key = f'{suffix} {series.folder}' if there.intersection(series.names) else suffix
        joined.setdefault(key, []).append(series)
    layouts = []
    for key, members in joined.items():
        folder = Path(os.path.commonpath([member.folder for member in members]))
        suffix = key.split(' ')[0]
        names = [_below(folder, path)[: -len(suffix)] for member in members for path in member.paths]
        layouts.append(Layout(folder, None, NameMatch('', suffix, '', '', ()), tuple(sorted(names))))
    return layouts


def _with_others(layout: Layout, images: Sequence[Series]) -> Layout:
    match, there = layout.match, set(layout.match.names)
    least = len(match.image_prefix) + len(match.image_suffix)
    found = []
    for series in images:
        if series.folder == layout.images or layout.images in series.folder.parents:
            files = [_below(layout.images, path) for path in series.paths]
            fitting = [name for name in files if name.endswith(match.image_suffix) and len(name) > least]
            found += [name[len(match.image_prefix) : len(name) - len(match.image_suffix)] for name in fitting]
    return replace(layout, others=tuple(sorted({*found} - there)))


def _without_common_end(images: Path, labels: Path) -> tuple[Path, Path, str]:
    """Folders without the sub-folders that both end in, and these."""
    below: list[str] = []
    if images == labels:
        return images, labels, ''
    while images.name == labels.name and images.parent != images and labels.parent != labels:
        below.insert(0, images.name)
        images, labels = images.parent, labels.parent
    return images, labels, '/'.join(below)


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
