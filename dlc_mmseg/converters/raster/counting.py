"""Which codes label rasters hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.raster.label_coding import MOST_CODES, Colour, LabelCounts
from dlc_mmseg.converters.raster.label_names import stored_names, stored_palette
from dlc_mmseg.converters.raster.raster_labels import LARGEST_CODE, NO_LABEL, codes_of
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import import_rasterio, open_raster
from dlc_mmseg.files.statistics_file import count_labels

LOSSY = 'label was compressed with loss (JPEG): its values are not exact'
_ROWS = 512
_HOPELESS = 4 * MOST_CODES


def count_codes(paths: Sequence[Path], where: str) -> LabelCounts:
    """Count the codes of label rasters, strip by strip.

    Args:
        paths: Rasters, all of values or all of colours.
        where: Folder or file, for messages.

    Returns:
        What they hold. Counting stops early once there are far too many codes for classes.

    Raises:
        UserError: If one cannot be read, can be no label, holds values that are too large for codes, or some hold
            values and others colours.
    """
    pixels: Counter[int] = Counter()
    palette: dict[int, Colour] = {}
    names: dict[int, str] = {}
    nodata: set[float | None] = set()
    kinds: dict[bool, Path] = {}
    for path in paths:
        with open_raster(str(path)) as file:
            if 'JPEG' in (file.driver, str(file.profile.get('compress')).upper()):
                raise UserError(path, LOSSY, 'use the label as it was drawn, or export it without compression')
            kinds.setdefault(file.count > 2, path)
            nodata.add(file.nodata)
            palette |= stored_palette(file)
            names |= stored_names(path)
            for codes in _strips(file):
                pixels.update(codes)
                if len(pixels) > _HOPELESS:
                    return LabelCounts(where, dict(pixels), file.count > 2)
    if len(kinds) > 1:
        raise UserError(kinds[True], f'holds colours, {kinds[False]} values', 'give labels of one kind')
    declared = nodata.pop() if len(nodata) == 1 else None
    value = int(declared) if declared is not None and declared >= 0 and declared % 1 == 0 else None
    return LabelCounts(where, dict(pixels), True in kinds, palette, names, value)


def _strips(file: Any) -> Iterator[dict[int, int]]:
    window = import_rasterio(file.name).windows.Window
    for top in range(0, file.height, _ROWS):
        strip = file.read(window=window(0, top, file.width, min(_ROWS, file.height - top)))
        _check_size(strip, file)
        counts = count_labels(codes_of(strip, file.name))
        counts.pop(NO_LABEL, None)
        yield counts


def _check_size(strip: NDArray[Any], file: Any) -> None:
    """Refuse values that no code can have, which would be dropped; the file's nodata value may be one."""
    if len(strip) > 2 or strip.dtype.kind not in 'iuf':
        return  # colours
    large = (strip[0] > LARGEST_CODE) & (strip[0] != file.nodata) & np.isfinite(strip[0])
    if large.any():
        what = f'holds {strip[0][large][0]:.0f}, codes go up to {LARGEST_CODE}'
        raise UserError(file.name, what, 'write smaller numbers for classes, and declare other values as nodata')
