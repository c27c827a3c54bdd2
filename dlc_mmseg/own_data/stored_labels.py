"""What the label images of a data set hold, and whether training can read them as they lie."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dlc_mmseg.converters.raster.counting import LOSSY, count_codes
from dlc_mmseg.converters.raster.label_coding import Colour, LabelCounts
from dlc_mmseg.converters.raster.label_names import stored_names, stored_palette
from dlc_mmseg.converters.raw_images import quiet
from dlc_mmseg.datasets.class_statistics import load_class_statistics
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import open_raster
from dlc_mmseg.own_data.image_facts import is_picture
from dlc_mmseg.own_data.layout import Layout

_COLOUR_MODES = ('RGB', 'RGBA')


@dataclass(frozen=True)
class StoredLabels:
    """Label images.

    Attributes:
        counts: What they hold.
        sizes: Height and width of each by the name of its image; empty where training cannot read them.
    """

    counts: LabelCounts
    sizes: dict[str, tuple[int, int]]


def read_labels(layout: Layout) -> StoredLabels:
    """Count the label pixels; the counts are kept beside the labels, where training needs them.

    Args:
        layout: Images with labels.

    Returns:
        What they hold.

    Raises:
        UserError: If they cannot be read, or can be no labels.
    """
    assert layout.labels is not None
    paths = [layout.label(name) for name in layout.labelled]
    files = {name: layout.match.label(name) for name in layout.labelled}
    mode, lossy = _kind(paths[0])
    if lossy:
        raise UserError(paths[0], LOSSY, 'use the label as it was drawn, or export it as PNG or without compression')
    colours = mode in _COLOUR_MODES
    where = str(layout.labels) if len(paths) > 1 else str(paths[0])
    try:
        statistics = load_class_statistics(layout.labels, files.values(), colours=colours)
    except UserError:
        if is_picture(paths[0]) or not importlib.util.find_spec('rasterio'):
            raise
        return StoredLabels(count_codes(paths, where), {})
    pixels: Counter[int] = Counter()
    for tile in statistics.values():
        pixels.update(tile.counts)
    palette, names, nodata = _described(paths)
    counts = LabelCounts(where, dict(pixels), colours, palette, names, nodata)
    return StoredLabels(counts, {name: statistics[file].size for name, file in files.items()})


def _kind(path: Path) -> tuple[str, bool]:
    """Pillow's name of the pixel type, empty where it knows none, and whether compression changed values."""
    try:
        with quiet(), Image.open(path) as image:
            return str(image.mode), image.format == 'JPEG' or image.info.get('compression') == 'jpeg'
    except (OSError, ValueError, SyntaxError):
        return '', False


def _described(paths: Sequence[Path]) -> tuple[dict[int, Colour], dict[int, str], int | None]:
    """Colour table, names and nodata value, as the first label says."""
    path = paths[0]
    names = stored_names(path)
    if is_picture(path) or not importlib.util.find_spec('rasterio'):
        with quiet(), Image.open(path) as image:
            flat = image.getpalette('RGB') if image.mode == 'P' else None
        entries = [] if flat is None else list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        return {value: (entry[0], entry[1], entry[2]) for value, entry in enumerate(entries)}, names, None
    with open_raster(str(path)) as file:
        nodata = None if file.nodata is None or file.nodata < 0 or file.nodata % 1 else int(file.nodata)
        return stored_palette(file), names, nodata
