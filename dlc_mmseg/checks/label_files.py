"""Label images: whether they are there, and whether their values are classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dlc_mmseg.checks.class_presence import LabelPixels, check_presence
from dlc_mmseg.checks.domain_files import Domain, Tile
from dlc_mmseg.checks.image_headers import Header, read_header, threads
from dlc_mmseg.checks.report import Report, Track, silent
from dlc_mmseg.datasets.class_statistics import count_tile
from dlc_mmseg.datasets.domain import missing_files
from dlc_mmseg.datasets.label_codes import IGNORED, code_text, holds_colours
from dlc_mmseg.datasets.label_encoding import (
    MAP_REMEDY,
    class_of_value,
    strange_values,
    zero_based_label_hint,
)
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import STATISTICS_FILE_NAME, TileStatistics
from dlc_mmseg.functional.spread import spread

Counts = dict[str, TileStatistics]
_COLOURS = ('RGB', 'RGBA', 'LA', 'PA', 'CMYK', 'YCbCr', 'HSV', 'LAB')
_SAMPLE = 16


def check_label_files(domain: Domain, report: Report) -> None:
    """Find images without labels and labels without images.

    Args:
        domain: A labelled dataset; tiles without labels are taken out.
        report: Receives what is missing.
    """
    tiles, prefix = domain.tiles, domain.dataset.data_prefix.get('seg_map_path')
    if tiles and not any(tile.label for tile in tiles):
        report.error(
            domain.name,
            f'{domain.role} has no labels',
            'set data_prefix=dict(img_path=..., seg_map_path=...)',
        )
        domain.tiles = []
        return
    missing = set(missing_files(tile.label for tile in tiles if tile.label))
    domain.tiles = [tile for tile in tiles if tile.label and tile.label not in missing]
    if missing:
        what = f'label of a {domain.role} image is missing'
        report.files('error', sorted(missing), what, _naming(domain, min(missing)))
    elif tiles and prefix and not domain.dataset.ann_file and os.path.isdir(prefix):
        _check_orphans(domain, str(prefix), report)


def _naming(domain: Domain, missing: str) -> str:
    """Remedy for a missing label: what the folder holds instead."""
    folder, suffix = os.path.dirname(missing), str(getattr(domain.dataset, 'seg_map_suffix', ''))
    names = [name for name in os.listdir(folder) if name != STATISTICS_FILE_NAME] if os.path.isdir(folder) else []
    if not names:
        return f'correct data_root or data_prefix.seg_map_path of {domain.name}'
    stem = os.path.basename(missing)[: -len(suffix) or None]
    same = [name for name in sorted(names) if name.startswith(stem) and not name[len(stem) :][:1].isalnum()]
    if same and domain.tiles:
        return f'rename {same[0]}: names of all labels must end in {suffix!r}'
    if same:
        return f'set seg_map_suffix={same[0][len(stem) :]!r} of {domain.name} (now {suffix!r}), found {same[0]}'
    if domain.tiles:
        return 'add the label or take the image out of the dataset'
    return f'name label images like images, ending in {suffix!r}: the folder holds {min(names)} and others'


def _check_orphans(domain: Domain, folder: str, report: Report) -> None:
    suffix = str(getattr(domain.dataset, 'seg_map_suffix', ''))
    used = {os.path.normpath(tile.label) for tile in domain.tiles if tile.label}
    found = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(suffix)]
    orphans = [path for path in found if os.path.normpath(path) not in used]
    if not orphans:
        return
    images = str(domain.dataset.data_prefix.get('img_path') or '')
    names = sorted(os.listdir(images or '.')) if os.path.isdir(images or '.') else []
    there = {os.path.splitext(name)[0].casefold(): name for name in names}
    others = [there.get(os.path.basename(path)[: -len(suffix) or None].casefold()) for path in orphans]
    named = [(path, other) for path, other in zip(orphans, others, strict=True) if other]
    what = f'label image without a {domain.role} image'
    if named:
        remedy = f'rename {named[0][1]} in {images}: names of images must end in {_suffix(domain)!r}, labels alike'
        report.files('warning', [path for path, _ in named], what, remedy)
    rest = [path for path, other in zip(orphans, others, strict=True) if not other]
    remedy = 'restore the image or remove the label; name images and labels alike'
    report.files('warning', rest, what, remedy)


def _suffix(domain: Domain) -> str:
    return str(getattr(domain.dataset, 'img_suffix', ''))


def check_label_kinds(domain: Domain, headers: dict[str, Header], report: Report) -> None:
    """Find label images that hold colours or fractions instead of class indices.

    Args:
        domain: A labelled dataset; offending tiles are taken out.
        headers: Headers of its files.
        report: Receives what is wrong.
    """
    modes = {tile.label: headers[tile.label].mode for tile in domain.tiles if tile.label in headers}
    mapped = {tile.label for tile in domain.tiles if holds_colours(tile.info)}
    colours = [path for path, mode in modes.items() if mode in _COLOURS and path not in mapped]
    fractions = [path for path, mode in modes.items() if mode == 'F']
    report.files(
        'error',
        [str(path) for path in colours],
        f'label of a {domain.role} image holds {modes[colours[0]] if colours else ""} colours instead of class indices',
        'name the colour of each class in label_map (source_label_map in dlc_custom.py), or turn colours into one '
        'index per pixel (dlc-mmseg convert-potsdam and convert-vaihingen do for ISPRS)',
    )
    report.files(
        'error',
        [str(path) for path in fractions],
        f'label of a {domain.role} image holds fractions',
        'write class indices as 8-bit single-channel PNG',
    )
    lossy = [str(tile.label) for tile in domain.tiles if tile.label in headers and headers[tile.label].lossy]
    remedy = 'write labels from their source as PNG: a PNG made of this file keeps the damage'
    what = f'label of a {domain.role} image is compressed with loss, which changes class indices'
    report.files('warning', [path for path in lossy if path not in colours], what, remedy)
    wrong = {*colours, *fractions}
    domain.tiles = [tile for tile in domain.tiles if tile.label not in wrong]


def count_labels_of(
    domain: Domain, report: Report, *, known: Counts, full: bool, track: Track = silent
) -> list[tuple[Tile, TileStatistics]]:
    """Label pixels of a sample of tiles or of all.

    Args:
        domain: A labelled dataset.
        report: Receives label images that cannot be read.
        known: Counts that need not be taken again, by path.
        full: Count all tiles instead of a sample of those not known.
        track: Shows the progress.

    Returns:
        Tiles and their counts.
    """
    unknown = [tile for tile in domain.tiles if tile.label not in known]
    chosen = unknown if full else spread(unknown, _SAMPLE)
    with ThreadPoolExecutor(threads()) as pool:
        results = track(pool.map(_try_count, chosen), f'counting labels: {domain.role}', len(chosen))
        counted = list(zip(chosen, results, strict=True))
    for _, result in counted:
        if isinstance(result, UserError):
            report.error(result.where, result.what, result.remedy)
    taken = [(tile, known[tile.label]) for tile in domain.tiles if tile.label in known]
    return [*taken, *((tile, result) for tile, result in counted if not isinstance(result, UserError))]


def _try_count(tile: Tile) -> TileStatistics | UserError:
    try:
        return count_tile(str(tile.label), colours=holds_colours(tile.info))
    except UserError as error:
        return error


def check_values(
    domain: Domain, counts: list[tuple[Tile, TileStatistics]], ignore_index: int, report: Report
) -> LabelPixels | None:
    """Compare label values with the classes.

    Args:
        domain: A labelled dataset.
        counts: Tiles and their counts.
        ignore_index: Its ignored label.
        report: Receives values that are no class, and what looks shifted, empty or hidden behind the ignored value.

    Returns:
        The pixels of each label; None where something is wrong with them.
    """
    number = len(domain.classes)
    if not number or not counts:
        return None
    pixels, strange, files = label_pixels(domain, counts, ignore_index)
    info = counts[0][0].info
    if files and 'label_codes' in info:
        named = [code_text(value, colours=holds_colours(info)) for value in sorted(strange)[:8]]
        what = f'label values {", ".join(named)}{", ..." if len(strange) > 8 else ""} are not named by label_map'
        report.files('error', files, what, MAP_REMEDY)
        return None
    if files:
        reduced = bool(getattr(domain.dataset, 'reduce_zero_label', False))
        listed = ', '.join(map(str, sorted(strange)[:8])) + (', ...' if len(strange) > 8 else '')
        what = f'label values {listed} are none of the {number} {domain.role} classes (reduce_zero_label={reduced})'
        what += f'; {pixels.ignored_share}' if pixels.ignored and pixels.absent else ''
        codes = {value for _, statistics in counts for value in statistics.counts} - {IGNORED}
        report.files('error', files, what, _value_remedy(files, sorted(strange), codes, domain.classes, reduced))
        return None
    hint = zero_based_label_hint([({**tile.info}, statistics) for tile, statistics in counts], number)
    if hint is not None:
        report.warning(hint.where, hint.what, hint.remedy)
        return None
    return pixels if check_presence(pixels, report) else None


def label_pixels(
    domain: Domain, counts: list[tuple[Tile, TileStatistics]], ignore_index: int
) -> tuple[LabelPixels, set[int], list[str]]:
    """Pixels of each label.

    Args:
        domain: A labelled dataset.
        counts: Tiles and their counts.
        ignore_index: Its ignored label.

    Returns:
        The pixels, values that are no class and not ignored, and the files that hold them.
    """
    allowed = {*range(len(domain.classes)), ignore_index, IGNORED}
    strange: set[int] = set()
    files: list[str] = []
    labels: Counter[int] = Counter()
    for tile, statistics in counts:
        own = {value: _label(value, tile) for value in statistics.counts}
        values = strange_values(statistics.counts, tile.info, allowed)
        strange.update(values)
        for value, count in statistics.counts.items():
            labels[own[value]] += count
        if values:
            files.append(str(tile.label))
    named = any('label_codes' in tile.info for tile, _ in counts)
    ignored = 0 if named else sum(statistics.counts.get(IGNORED, 0) for _, statistics in counts)
    return LabelPixels(domain, labels, ignored, len(counts) == len(domain.tiles)), strange, files


def _value_remedy(files: list[str], strange: list[int], codes: set[int], classes: Sequence[str], reduced: bool) -> str:
    if read_header(files[0]).lossy:
        return 'write labels from their source as PNG: compression with loss changes values, for good'
    if max(strange) > IGNORED:
        return 'write labels as 8-bit images (values above 255 wrap around on loading), or name the codes in label_map'
    if strange == [len(classes)] and not reduced:
        return 'set reduce_zero_label=True if labels count from 1 and 0 means unlabelled, or correct metainfo.classes'
    if len(codes) == len(classes):
        tens = (
            ' (dlc-mmseg convert-whuoptsar divides those of WHU-OPT-SAR by ten)'
            if all(c % 10 == 0 for c in codes)
            else ''
        )
        return f'name the code of each class: {_as_map(classes, sorted(codes))}, or as they belong together{tens}'
    return 'name the codes of each class in label_map (source_label_map in dlc_custom.py), or correct metainfo.classes'


def _as_map(classes: Sequence[str], codes: Sequence[int]) -> str:
    pairs = ', '.join(f'{name!r}: {code}' for name, code in zip(classes, codes, strict=True))
    return f'label_map={{{pairs}}} of a CodedLabelDataset (source_label_map in dlc_custom.py)'


def _label(value: int, tile: Tile) -> int:
    info: dict[str, Any] = tile.info
    reduced = bool(info.get('reduce_zero_label'))
    return class_of_value(value, reduce_zero_label=reduced, label_map=info.get('label_map'))
