"""Label pixels where the image holds no data: trained as ignored, so they count for no class."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from dlc_mmseg.datasets.image_loading import described_loading
from dlc_mmseg.datasets.label_codes import IGNORED, decode_labels, holds_colours
from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile
from dlc_mmseg.files.remembered import remembered, stamp_of
from dlc_mmseg.files.statistics_file import TileStatistics, count_labels

NODATA_LABELS_FILE_NAME = 'nodata_labels.json'
_WORKERS = 8


def without_nodata(
    infos: Sequence[Mapping[str, Any]], tiles: Sequence[TileStatistics], steps: Sequence[Any]
) -> list[TileStatistics]:
    """Label pixels of tiles without those where the image holds no data, which become ignored ones.

    Images are read once for it; what is found is kept beside them (``nodata_labels.json``) until they change.

    Args:
        infos: Entries of a dataset, with ``img_path`` and ``seg_map_path``.
        tiles: All label pixels of each.
        steps: Transforms of the dataset's pipeline; others than `LoadRasterFromFile` know no nodata.

    Returns:
        The statistics; sums stay height times width, unless a label map makes 255 a class.

    Raises:
        UserError: If an image cannot be read.
    """
    loader = next((step for step in steps if isinstance(step, LoadRasterFromFile)), None)
    if loader is None:
        return list(tiles)
    folders: defaultdict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for info in infos:
        folder, name = os.path.split(str(info['img_path']))
        folders[folder][name] = info
    hidden = {folder: _of_folder(Path(folder), members, loader) for folder, members in folders.items()}
    places = [os.path.split(str(info['img_path'])) for info in infos]
    return [
        _without(tile, hidden[folder][name], info)
        for info, tile, (folder, name) in zip(infos, tiles, places, strict=True)
    ]


def _of_folder(
    folder: Path, infos: Mapping[str, Mapping[str, Any]], loader: LoadRasterFromFile
) -> dict[str, dict[int, int]]:
    """Pixels without data per raw label value, by file name."""

    def find(missing: list[str]) -> Iterable[dict[str, Any]]:
        with ThreadPoolExecutor(min(os.cpu_count() or 1, _WORKERS)) as pool:
            counts = pool.map(lambda name: _hidden_labels(infos[name], loader), missing)
            yield from ({'counts': {str(value): pixels for value, pixels in count.items()}} for count in counts)

    stamps = {name: stamp_of(info['img_path'], info['seg_map_path']) for name, info in infos.items()}
    path, loading = folder / NODATA_LABELS_FILE_NAME, described_loading([loader])
    entries = remembered(path, 'dlc_mmseg labels without data', 1, loading, stamps, find)
    return {
        name: {int(value): int(pixels) for value, pixels in entry['counts'].items()} for name, entry in entries.items()
    }


def _hidden_labels(info: Mapping[str, Any], loader: LoadRasterFromFile) -> dict[int, int]:
    if not loader.may_lack_data(str(info['img_path'])):
        return {}
    nodata = loader.load(str(info['img_path'])).nodata
    if not nodata.any():
        return {}
    labels = decode_labels(Path(info['seg_map_path']).read_bytes(), colours=holds_colours(info))
    labels = np.asarray(labels).reshape(*labels.shape[:2], -1)[..., 0]
    return count_labels(labels[nodata]) if labels.shape == nodata.shape else {}


def _without(tile: TileStatistics, hidden: Mapping[int, int], info: Mapping[str, Any]) -> TileStatistics:
    if not hidden:
        return tile
    counts = {value: pixels - hidden.get(value, 0) for value, pixels in tile.counts.items()}
    if 'label_codes' not in info or info['label_map'].get(IGNORED, IGNORED) == IGNORED:
        counts[IGNORED] = counts.get(IGNORED, 0) + sum(hidden.values())
    return TileStatistics(tile.size, {value: pixels for value, pixels in counts.items() if pixels > 0})
