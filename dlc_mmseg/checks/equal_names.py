"""Images that share a file name, where something is written under it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from dlc_mmseg.checks.domain_files import image_paths
from dlc_mmseg.checks.evaluators import metrics_of
from dlc_mmseg.checks.report import Report
from dlc_mmseg.errors import shown_path

REMEDY = 'write maps with `dlc-mmseg predict`, which keeps the folders, or rename the images'


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
        first, second = map(shown_path, self.first)
        return (
            f'{self.images} images have {self.names} different names ({first}, {second}): the map of a later one '
            'overwrites that of an earlier one'
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


def check_equal_names(config: Mapping[str, Any], report: Report) -> None:
    """Find runs that write maps or pictures of several images to one file, or under one name.

    MMSegmentation's metrics write ``{stem}.png`` into one folder, whatever folder the image is from (``--out`` of its
    test tool), so that later maps overwrite earlier ones.

    Args:
        config: The whole config.
        report: Receives one warning for each evaluator concerned.
    """
    for part in ('val', 'test'):
        dataset = (config.get(f'{part}_dataloader') or {}).get('dataset')
        for field, metric in metrics_of(config, part):
            if not dataset or not metric.get('output_dir'):
                continue
            shared = equal_names(image_paths(f'{part}_dataloader.dataset', dataset))
            if shared is not None:
                report.warning(f'{field}.output_dir', shared.what, REMEDY)
