"""Rare class sampling: its settings against the tiles, and the statistics file it reads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dlc_mmseg.checks.domain_files import Domain, Tile
from dlc_mmseg.checks.image_headers import Header
from dlc_mmseg.checks.pipelines import Outputs
from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.class_statistics import count_tile
from dlc_mmseg.datasets.label_codes import holds_colours
from dlc_mmseg.datasets.label_encoding import class_counts
from dlc_mmseg.datasets.rare_class_sampling import RareClassSampling, sampling_settings
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import STATISTICS_FILE_NAME, TileStatistics, read_class_statistics
from dlc_mmseg.functional.spread import spread

FIELD = 'train_dataloader.dataset.rare_class_sampling'
_COMPARED = 5  # tiles that are counted again to see whether a statistics file is theirs


def read_settings(dataset: Mapping[str, Any], report: Report) -> RareClassSampling | None:
    """Settings of a `PairedDomainDataset`.

    Args:
        dataset: Its config.
        report: Receives unknown and impossible settings.

    Returns:
        The settings; None without any, or with wrong ones.
    """
    try:
        return sampling_settings(dataset.get('rare_class_sampling'))
    except UserError as error:
        report.error(FIELD, error.what, error.remedy)
        return None


def check_statistics(
    domain: Domain, settings: RareClassSampling, headers: Mapping[str, Header], report: Report
) -> dict[str, TileStatistics]:
    """Compare the statistics file of the source with its tiles.

    Args:
        domain: The source.
        settings: Settings that may name a file.
        headers: Headers of its files.
        report: Receives a file that is missing, damaged, old or of other tiles.

    Returns:
        Counts that hold, by path of the label image.
    """
    folder = str(domain.dataset.data_prefix.get('seg_map_path') or '')
    path = settings.statistics or os.path.join(folder, STATISTICS_FILE_NAME)
    if settings.statistics is None and not os.path.isfile(path):
        return {}
    try:
        entries = read_class_statistics(path)
        written = os.stat(path).st_mtime_ns
    except UserError as error:
        report.error(path, error.what, error.remedy)
        return {}
    named = {os.path.relpath(str(tile.label), folder).replace(os.sep, '/'): tile for tile in domain.tiles}
    stale = [name for name, tile in named.items() if name in entries and os.stat(str(tile.label)).st_mtime_ns > written]
    _check_age(path, settings, stale, [name for name in named if name not in entries], report)
    valid = {name: tile for name, tile in named.items() if name in entries and name not in stale}
    if not _match(path, valid, entries, headers, report):
        return {}
    return {str(tile.label): entries[name] for name, tile in valid.items()}


def _check_age(path: str, settings: RareClassSampling, stale: list[str], absent: list[str], report: Report) -> None:
    """A file named in the config must fit; the one beside the labels is brought up to date when training starts."""
    if settings.statistics is None:
        if stale:
            what, remedy = _newer(stale), 'nothing to do, these tiles are counted anew when training starts'
            report.warning(path, what, remedy)
        return
    remedy = 'write it anew, or leave out rare_class_sampling.statistics'
    if absent:
        report.error(path, f'has no entry for {absent[0]} ({len(absent)} such tiles)', remedy)
    if stale:
        report.error(path, _newer(stale), remedy)


def _newer(stale: list[str]) -> str:
    return f'is older than {stale[0]} ({len(stale)} such tiles)'


def _match(
    path: str,
    tiles: Mapping[str, Tile],
    entries: Mapping[str, TileStatistics],
    headers: Mapping[str, Header],
    report: Report,
) -> bool:
    remedy = 'delete it, it is counted anew from the tiles'
    for name, tile in tiles.items():
        header = headers.get(str(tile.label))
        if header and header.size and header.size != entries[name].size:
            what = f'says {name} has {entries[name].size} pixels, it has {header.size} (height, width)'
            report.error(path, what, remedy)
            return False
    for name in spread(list(tiles), _COMPARED):
        try:
            counted = count_tile(str(tiles[name].label), colours=holds_colours(tiles[name].info))
        except UserError:
            continue
        if counted != entries[name]:
            report.error(path, f'counts other label pixels than {name} holds', remedy)
            return False
    return True


def check_settings(
    domain: Domain,
    settings: RareClassSampling,
    counts: list[tuple[Tile, TileStatistics]],
    output: Outputs | None,
    report: Report,
) -> None:
    """Find settings that no tile can meet.

    Args:
        domain: The source.
        settings: The settings.
        counts: Label pixels of tiles.
        output: What the source's pipeline gives.
        report: Receives what is impossible.
    """
    if not counts:
        return
    largest = max(statistics.size[0] * statistics.size[1] for _, statistics in counts)
    if settings.min_pixels >= largest:
        remedy = 'choose a number well below that: as it is each class comes from the images with most of it'
        report.warning(f'{FIELD}.min_pixels', f'{settings.min_pixels} exceeds the {largest} pixels of a tile', remedy)
        return
    wanted = settings.min_pixels * settings.min_crop_ratio
    area = max((height * width for height, width in output.sizes), default=0) if output else 0
    if area and wanted >= area and settings.max_redraws:
        what = f'{settings.min_crop_ratio} x min_pixels ({settings.min_pixels}) exceeds the {area} pixels of a crop'
        remedy = 'lower it or min_pixels: as it is each image is cropped max_redraws times in vain'
        report.warning(f'{FIELD}.min_crop_ratio', what, remedy)
    if len(counts) < len(domain.tiles):
        return
    most = [max(column) for column in zip(*_table(domain, counts), strict=True)]
    scarce = [
        f'{name} (at most {pixels})'
        for name, pixels in zip(domain.classes, most, strict=True)
        if 0 < pixels <= settings.min_pixels
    ]
    if scarce:
        what = f'no image holds more than {settings.min_pixels} pixels of {", ".join(scarce)}'
        remedy = 'lower it, or accept that these classes are drawn from the images with most of them'
        report.warning(f'{FIELD}.min_pixels', what, remedy)


def _table(domain: Domain, counts: list[tuple[Tile, TileStatistics]]) -> list[list[int]]:
    return [class_counts(statistics, tile.info, len(domain.classes)) for tile, statistics in counts]
