"""Images and label images that do not decode, differ in size or are of the wrong kind."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from dlc_mmseg.checks.domain_files import Domain, Tile
from dlc_mmseg.checks.image_headers import Header, decode_fault, read_headers, threads
from dlc_mmseg.checks.report import Report, Track, silent
from dlc_mmseg.functional.spread import spread

SAMPLE = 8
"""Images of a domain that are looked into where not all are."""


def check_files(domain: Domain, report: Report, *, full: bool, track: Track = silent) -> dict[str, Header]:
    """Headers of all files of a domain, and a decoding of those that look cut off, of a sample or of all.

    Tiles whose files are broken are taken out of the domain, so that later checks need not stumble over them.

    Args:
        domain: A dataset; its tiles are replaced by those that read.
        report: Receives what is wrong.
        full: Decode every image instead of a sample.
        track: Shows the progress.

    Returns:
        Headers of the files that read, by path.
    """
    tiles = domain.tiles
    images = [tile.image for tile in tiles]
    labels = [tile.label for tile in tiles if tile.label]
    what = f'{domain.role} image'
    headers = read_headers([*images, *labels], f'reading headers: {domain.role}', track)
    faults = {path: header.fault for path, header in headers.items() if header.fault}
    doubtful = [path for path, header in headers.items() if header.size and not header.complete]
    chosen = images if full else spread(images, SAMPLE)
    decodable = [path for path in dict.fromkeys([*doubtful, *chosen]) if path in headers and headers[path].size]
    with ThreadPoolExecutor(threads()) as pool:
        results = track(pool.map(decode_fault, decodable), f'decoding: {domain.role} images', len(decodable))
        faults.update({path: fault for path, fault in zip(decodable, results, strict=True) if fault})
    _report_faults(faults, {what: images, f'label of a {what}': labels}, report)
    domain.tiles = [tile for tile in tiles if tile.image not in faults and tile.label not in faults]
    return {path: header for path, header in headers.items() if path not in faults}


def _report_faults(faults: dict[str, str], kinds: dict[str, list[str]], report: Report) -> None:
    """One line per kind of file and of fault, whatever the details in parentheses."""
    for kind, paths in kinds.items():
        groups: defaultdict[str, list[str]] = defaultdict(list)
        for path in dict.fromkeys(paths):
            if path in faults:
                groups[faults[path].split(' (')[0]].append(path)
        for group in groups.values():
            remedy = 'restore the file or take the tile out of the dataset'
            report.files('error', group, f'{kind} {faults[group[0]]}', remedy)


def check_sizes(domain: Domain, headers: dict[str, Header], report: Report) -> None:
    """Compare each image with its label image.

    Args:
        domain: A dataset.
        headers: Headers of its files.
        report: Receives pairs that differ in size; these are taken out of the domain.
    """
    unequal = [tile for tile in domain.tiles if not _fits(tile, headers)]
    if not unequal:
        return
    first = unequal[0]
    image, label = (headers[path].size for path in (first.image, first.label or ''))
    assert image is not None
    assert label is not None
    report.files(
        'error',
        [tile.label or '' for tile in unequal],
        f'label is {label[0]} x {label[1]} pixels (height x width), its {domain.role} image {image[0]} x {image[1]}',
        'cut images and labels alike, or restore the file that was replaced',
    )
    domain.tiles = [tile for tile in domain.tiles if tile not in unequal]


def _fits(tile: Tile, headers: dict[str, Header]) -> bool:
    image, label = headers.get(tile.image), headers.get(tile.label or '')
    return image is None or label is None or None in (image.size, label.size) or image.size == label.size
