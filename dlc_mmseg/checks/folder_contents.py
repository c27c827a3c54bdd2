"""Folders that hold more than the images of one ending: what is left out, and what is taken for an image."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import NamedTuple

from dlc_mmseg.checks.domain_files import Domain, Tile
from dlc_mmseg.checks.domain_pair import few_colours
from dlc_mmseg.checks.report import Report
from dlc_mmseg.functional.spread import spread

ENDINGS = ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp', '.webp', '.jp2', '.ppm', '.pgm')
_SPELLINGS = {'.jpeg': '.jpg', '.tiff': '.tif'}
_SYSTEM_FOLDERS = ('@eaDir', '__MACOSX', '#recycle', '$RECYCLE.BIN')
_LABEL_WORDS = re.compile(
    r'(?:^|[^a-z])(?:label|lbl|mask|gt|seg|segmentation|ann|annotation|groundtruth)s?(?:$|[^a-z])'
)


class LeftOut(NamedTuple):
    """Images of a folder that a suffix does not find.

    Attributes:
        what: How many, and which.
        remedy: What to do.
    """

    what: str
    remedy: str


def check_folder(domain: Domain, report: Report) -> None:
    """Compare the image folder of a dataset with what the dataset takes from it.

    Args:
        domain: A dataset; tiles that are label images of others are taken out.
        report: Receives images left out because their names end otherwise, images of hidden folders, and label images
            taken for images.
    """
    folder, suffix = str(domain.dataset.data_prefix.get('img_path') or ''), getattr(domain.dataset, 'img_suffix', None)
    if not domain.tiles or domain.dataset.ann_file or '://' in folder or not isinstance(suffix, str) or not suffix:
        return
    labels = {os.path.normpath(path) for tile in domain.tiles if (path := tile.info.get('seg_map_path'))}
    left_out = left_out_images(folder, suffix, labels, len(domain.classes))
    if left_out is not None:
        report.warning(folder, f'{domain.role} folder: {left_out.what}', left_out.remedy)
    _check_hidden(domain, folder, report)
    _check_labels_among_images(domain, folder, suffix, labels, report)


def left_out_images(folder: str, suffix: str, labels: Iterable[str] = (), num_classes: int = 0) -> LeftOut | None:
    """Images below a folder whose names end otherwise than those that are taken.

    Another spelling of the ending (``.PNG``, ``.jpeg``) always counts. An image of another format does not where it
    accompanies one that is taken (``t00_label.png`` or ``t00.png`` beside ``t00.jpg``), or is a label map.

    Args:
        folder: The folder, searched with all folders below it that are not hidden.
        suffix: How names end that are taken.
        labels: Normalised paths that are label images of those that are taken.
        num_classes: Number of classes, which is about the number of colours of a label map.

    Returns:
        What is left out; None if nothing is.
    """
    names, labels = list(_names(folder)), set(labels)
    taken = {name[: -len(suffix)] for name in names if name.endswith(suffix)}
    others = [
        name
        for name in names
        if not name.endswith(suffix)
        and os.path.splitext(name)[1].lower() in ENDINGS
        and os.path.normpath(os.path.join(folder, name)) not in labels
    ]
    spelt = [name for name in others if _spelling(name).endswith(_spelling(suffix))]
    foreign: list[str] = []
    if suffix == os.path.splitext(f'x{suffix}')[1]:  # a longer suffix chooses among the images of a place
        foreign = [name for name in others if name not in {*spelt} and not _accompanies(name, taken)]
        if all(few_colours(os.path.join(folder, name), num_classes) for name in spread(foreign, 4)):
            foreign = []
    left = sorted([*spelt, *foreign])
    if not left:
        return None
    counts = Counter(os.path.splitext(name)[1] for name in left)
    kinds = ', '.join(f'{count} {ending}' for ending, count in counts.most_common())
    what = f'{len(left)} of {len(taken) + len(left)} images are left out, they do not end in {suffix!r} '
    what += f'({left[0]}{" and others" if len(left) > 1 else ""}: {kinds})'
    if foreign:
        return LeftOut(what, 'convert them, or join one dataset for each img_suffix in a ConcatDataset')
    return LeftOut(what, f'rename them to end in {suffix!r}')


def _names(folder: str) -> Iterator[str]:
    """Relative names of all files that are not hidden."""
    for root, folders, files in os.walk(folder or '.'):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        relative = os.path.relpath(root, folder or '.')
        for name in files:
            if not name.startswith('.'):
                yield name if relative == '.' else os.path.join(relative, name)


def _is_hidden(folder: str) -> bool:
    return folder.startswith('.') or folder in _SYSTEM_FOLDERS


def _spelling(name: str) -> str:
    """A name in lower case with the shorter spelling of its ending."""
    stem, ending = os.path.splitext(name.lower())
    if not ending and stem.startswith('.'):
        stem, ending = '', stem
    return stem + _SPELLINGS.get(ending, ending)


def _accompanies(name: str, taken: set[str]) -> bool:
    """Whether a name is that of an image which is taken, with something before or after it."""
    folder, base = os.path.split(os.path.splitext(name)[0])
    parts = [match.start() for match in re.finditer(r'[_\-. ]', base)]
    candidates = [base, *(base[:start] for start in parts), *(base[start + 1 :] for start in parts)]
    return any(os.path.join(folder, candidate) in taken for candidate in candidates)


def _check_hidden(domain: Domain, folder: str, report: Report) -> None:
    """MMEngine lists hidden folders too, such as the ``.ipynb_checkpoints`` of notebooks."""
    hidden = [
        tile.image
        for tile in domain.tiles
        if any(map(_is_hidden, PurePath(os.path.relpath(tile.image, folder or '.')).parent.parts))
    ]
    remedy = 'delete that folder, whose images are copies or previews, or move them out of it'
    report.files('warning', hidden, f'{domain.role} image lies in a hidden folder and is taken all the same', remedy)


def _check_labels_among_images(domain: Domain, folder: str, suffix: str, labels: set[str], report: Report) -> None:
    own = [tile for tile in domain.tiles if _path(tile) in labels and _path(tile) != _label_path(tile)]
    others = {os.path.relpath(tile.image, folder or '.')[: -len(suffix)] for tile in domain.tiles}
    named = [tile for tile in domain.tiles if tile not in own and _is_label_of(tile, folder, suffix, others)]
    if not all(few_colours(tile.image, len(domain.classes)) for tile in spread(named, 4)):
        named = []
    found = [*own, *named]
    remedy = 'keep label images in a folder of their own, or choose an img_suffix that they do not end in'
    what = f'label image is taken for a {domain.role} image'
    report.files('error' if own else 'warning', [tile.image for tile in found], what, remedy)
    if own:
        indices = {tile.index for tile in found}
        domain.tiles = [tile for tile in domain.tiles if tile.index not in indices]


def _is_label_of(tile: Tile, folder: str, suffix: str, others: set[str]) -> bool:
    name = os.path.relpath(tile.image, folder or '.')[: -len(suffix)]
    return bool(_LABEL_WORDS.search(os.path.basename(name).lower())) and _accompanies(f'{name}.x', others - {name})


def _path(tile: Tile) -> str:
    return os.path.normpath(tile.image)


def _label_path(tile: Tile) -> str:
    return os.path.normpath(tile.info.get('seg_map_path') or '')
