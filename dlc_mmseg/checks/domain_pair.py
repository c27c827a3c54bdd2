"""Source and target that are not what they are taken for: the same images, or label maps for images."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from dlc_mmseg.checks.domain_files import Domain, Tile
from dlc_mmseg.checks.image_files import SAMPLE
from dlc_mmseg.checks.image_headers import Header
from dlc_mmseg.checks.report import Report
from dlc_mmseg.functional.spread import spread

Headers = Mapping[str, Header]
_CANDIDATES = 32
_FEW_COLOURS = 4


def check_pair(domains: Sequence[Domain], headers: Headers, report: Report, *, full: bool) -> None:
    """Compare the files of source, target and validation.

    Args:
        domains: All datasets, with tiles that read.
        headers: Headers of their files.
        report: Receives what is the same.
        full: Compare all images instead of a sample.
    """
    source = [tile for domain in domains if domain.role == 'source' for tile in domain.tiles]
    for domain in domains:
        check_label_maps(domain, report)
        if domain.role == 'source' or not domain.tiles:
            continue
        if not _check_paths(domain, source, report):
            _check_content(domain, source, headers, report, full=full)
    if full:
        for domain in domains:
            _check_duplicates(domain, headers, report)


def check_label_maps(domain: Domain, report: Report) -> None:
    """Notice images that are label maps.

    Args:
        domain: A dataset.
        report: Receives the finding.
    """
    tiles = spread(domain.tiles, 4)
    limit = len(domain.classes) + _FEW_COLOURS
    counts = [number for number in (_colours(tile.image, limit) for tile in tiles) if number is not None]
    if counts and 1 < max(counts) <= limit:
        what = f'{domain.role} images hold at most {max(counts)} colours each, like label maps'
        remedy = f'let data_prefix.img_path of {domain.name} name the folder of the images'
        report.error(tiles[0].image, what, remedy)


def few_colours(path: str, num_classes: int) -> bool:
    """Whether an image holds as few colours as a label map, but more than one.

    Args:
        path: The image.
        num_classes: Number of classes.
    """
    limit = num_classes + _FEW_COLOURS
    return 1 < (_colours(path, limit) or 0) <= limit


def _colours(path: str, limit: int) -> int | None:
    """Number of different colours or values of an image, at most ``limit + 1``; None where Pillow cannot tell."""
    try:
        with Image.open(path) as image:
            colours = (image.convert('I') if image.mode.startswith('I;16') else image).getcolors(limit)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return limit + 1 if colours is None else len(colours)


def _check_paths(domain: Domain, source: Sequence[Tile], report: Report) -> bool:
    folders: dict[str, str] = {}
    used = {_real(tile.image, folders) for tile in source}
    same = [tile.image for tile in domain.tiles if _real(tile.image, folders) in used]
    if same:
        _report_same(domain, same, len(domain.tiles), 'is a source image too', report)
    return bool(same)


def _check_content(domain: Domain, source: Sequence[Tile], headers: Headers, report: Report, *, full: bool) -> None:
    """Same bytes under another name; without `full` a few images, each compared with a few of equal length."""
    tiles = domain.tiles if full else spread(domain.tiles, SAMPLE)
    by_length: defaultdict[int, list[Tile]] = defaultdict(list)
    for tile in source:
        if tile.image in headers:
            by_length[headers[tile.image].bytes].append(tile)
    digests: dict[str, bytes] = {}
    same = []
    for tile in tiles:
        others = by_length[headers[tile.image].bytes] if tile.image in headers else []
        others = sorted(others, key=lambda other, tile=tile: Path(other.image).stem != Path(tile.image).stem)  # type: ignore[misc]
        for other in others if full else others[:_CANDIDATES]:
            if _digest(tile.image, digests) == _digest(other.image, digests):
                same.append(tile.image)
                break
    if same:
        _report_same(domain, same, len(tiles), 'equals a source image byte for byte', report)


def _report_same(domain: Domain, same: list[str], total: int, what: str, report: Report) -> None:
    severe = 2 * len(same) >= total and domain.role == 'target'
    others = {
        'target': f'let data_root of {domain.name} name the other domain',
        'validation': 'validate on labelled images of the target domain',
    }[domain.role]
    counted = f'{domain.role} image {what} ({len(same)} of {total} compared)'
    (report.error if severe else report.warning)(same[0], counted, others)


def _check_duplicates(domain: Domain, headers: Headers, report: Report) -> None:
    """Images of one domain with the same bytes, blank ones aside."""
    by_length: defaultdict[int, list[str]] = defaultdict(list)
    for path in dict.fromkeys(tile.image for tile in domain.tiles):
        if path in headers:
            by_length[headers[path].bytes].append(path)
    digests: dict[str, bytes] = {}
    seen: set[bytes] = set()
    copies = []
    for path in (path for paths in by_length.values() if len(paths) > 1 for path in paths):
        digest = _digest(path, digests)
        if digest in seen and _colours(path, 1) != 1:
            copies.append(path)
        seen.add(digest)
    remedy = 'remove copies, or they count twice'
    report.files('warning', copies, f'{domain.role} image is a copy of another one', remedy)


def _digest(path: str, known: dict[str, bytes]) -> bytes:
    if path not in known:
        known[path] = hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()
    return known[path]


def _real(path: str, folders: dict[str, str]) -> str:
    """Path without links; folders are followed once."""
    if os.path.islink(path):
        return os.path.realpath(path)
    folder, name = os.path.split(path)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.join(folders[folder], name)
