"""The image value of full brightness, which changes of colour need to know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile
from dlc_mmseg.own_data.splits import evenly

EIGHT_BITS = 255
_SAMPLE = 24
_SHARE = 99.5
"""Percent of the pixels that are not brighter."""


def full_brightness(paths: Sequence[Path], bands: Sequence[int] | None) -> float:
    """Value that hardly a pixel exceeds, in any band.

    Args:
        paths: Images, of which some are looked at.
        bands: Numbers of the bands; None takes all.

    Returns:
        255 for images of 8 bits, else a number of two digits.

    Raises:
        UserError: If an image cannot be read.
    """
    loader, found = LoadRasterFromFile(bands=bands), 0.0
    for path in evenly([str(path) for path in paths], _SAMPLE):
        image, nodata = loader.load(path)
        if image.dtype == np.uint8:
            return EIGHT_BITS
        pixels = image[~nodata]
        if len(pixels):
            found = max(found, float(np.percentile(pixels, _SHARE, axis=0).max()))
    if found <= 0:
        return EIGHT_BITS
    unit = 10.0 ** (math.floor(math.log10(found)) - 1)
    number = math.ceil(round(found / unit, 6)) * unit
    return round(number) if number >= 10 else round(number, 12)
