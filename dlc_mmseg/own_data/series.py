"""Files of a folder that belong together: one kind of image, one kind of label."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from dlc_mmseg.converters.raster.polygon_labels import is_vector
from dlc_mmseg.files.image_files import list_images
from dlc_mmseg.own_data.image_facts import looks_like_labels

LABEL_WORDS = frozenset(
    (
        *('label', 'labels', 'lbl', 'lbls', 'lab', 'labs', 'mask', 'masks', 'gt', 'gts', 'truth', 'groundtruth'),
        *('ann', 'anns', 'ann_dir', 'annotation', 'annotations', 'seg', 'segs', 'segmentation', 'segmentations'),
        *('reference', 'classes', 'labels_png', 'masks_png'),
    )
)
_SAMPLE = 3


@dataclass(frozen=True)
class Series:
    """Files of one folder with one kind of ending.

    Attributes:
        folder: The folder.
        names: Names of the files, sorted.
    """

    folder: Path
    names: tuple[str, ...]

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [self.folder / name for name in self.names]


def list_series(folder: Path) -> list[Series]:
    """Series of a folder and its sub-folders.

    Files of one folder and extension are one series, unless some of their names hold a word such as ``mask``.

    Args:
        folder: The folder.

    Returns:
        Series, sorted by folder.

    Raises:
        UserError: If the folder is missing or holds no image.
    """
    groups: defaultdict[tuple[Path, str, str], list[str]] = defaultdict(list)
    for path in list_images(folder):
        if not is_vector(path):
            groups[path.parent, path.suffix, _label_word(path.stem)].append(path.name)
    return [Series(key[0], tuple(sorted(names))) for key, names in sorted(groups.items())]


def list_vectors(folder: Path) -> list[Path]:
    """Files of polygons in a folder, without its sub-folders; files of other programs that end alike are left out."""
    wanted = (path for path in folder.iterdir() if is_vector(path) and not path.name.startswith('.'))
    return sorted(path for path in wanted if path.is_file() and path.suffix.lower() != '.json')


def are_labels(series: Series) -> bool:
    """Whether the files hold so few values that they are classes, or are named as labels.

    Raises:
        UserError: If a file cannot be read.
    """
    step = max(1, len(series.names) // _SAMPLE)
    return all(looks_like_labels(path) for path in series.paths[::step][:_SAMPLE]) or _named_as_labels(series)


def _named_as_labels(series: Series) -> bool:
    """JPEGs beside images: refused later, by their values, rather than taken for images."""
    words = {series.folder.name.lower(), _label_word(Path(series.names[0]).stem)}
    return bool(words & LABEL_WORDS)


def _label_word(stem: str) -> str:
    """The first or last word of a name, if it says that the file is a label."""
    words = [word.lower() for word in re.split(r'[_\-. ]', stem) if word]
    return next((word for word in (words[-1:] + words[:1]) if word in LABEL_WORDS), '')
