"""What image files hold: type, bands and values, read without the pipeline that is to be checked."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlc_mmseg.datasets.raster_loading import picture_kind
from dlc_mmseg.datasets.raster_reading import RasterReading
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import open_raster

_BITS, _SAMPLES, _SAMPLE_FORMAT = 258, 277, 339
_TIFF_KINDS = {1: 'uint', 2: 'int', 3: 'float'}
_MODES = {'I;16': 'uint16', 'I;16B': 'uint16', 'I': 'int32', 'F': 'float32'}


class StoredImage(NamedTuple):
    """What a file holds.

    Attributes:
        dtype: Type of its values, as NumPy names it.
        bands: Number of bands; 3 of a palette image.
        alpha: Whether one of them is said to be transparency.
        values: Shape (H, W, C), as stored; None where nothing at hand reads them.
        nodata: Shape (H, W), bool: pixels without data by what the file says, or not finite; None as above.
    """

    dtype: str
    bands: int
    alpha: bool
    values: NDArray[Any] | None
    nodata: NDArray[np.bool_] | None


def read_stored(path: str) -> StoredImage | None:
    """Read what a file holds, with rasterio where it is installed, else as far as Pillow knows.

    Args:
        path: A local file.

    Returns:
        What it holds; None if nothing at hand says.
    """
    try:
        with open(path, 'rb') as file:
            kind = picture_kind(file.read(32))
        if kind:
            return _picture(path, with_alpha=kind == 'alpha')
        return _with_rasterio(path) if importlib.util.find_spec('rasterio') else _with_pillow(path)
    except (OSError, UserError, ValueError, SyntaxError):  # broken files are another check's
        return None


def _picture(path: str, *, with_alpha: bool) -> StoredImage | None:
    """Pictures of 8 bits reach OpenCV whole, but for transparency."""
    if not with_alpha:
        return None
    values = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3 or values.shape[2] != 4:
        return None
    return StoredImage('uint8', 4, True, values, values[..., 3] == 0)


def _with_rasterio(path: str) -> StoredImage | None:
    from rasterio.enums import ColorInterp

    with open_raster(path) as file:
        if ColorInterp.palette in file.colorinterp:
            return None
        alpha = ColorInterp.alpha in file.colorinterp
        bands = [band for band, kind in zip(file.indexes, file.colorinterp, strict=True) if kind != ColorInterp.alpha]
        nodata = RasterReading(bands=bands or None).read(file).nodata
        return StoredImage(file.dtypes[0], file.count, alpha, np.moveaxis(file.read(), 0, -1), nodata)


def _with_pillow(path: str) -> StoredImage | None:
    """The header alone: Pillow turns deep colours into 8 bits as well."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        with Image.open(path) as image:
            tags: Any = getattr(image, 'tag_v2', None)
            if tags is None:
                return None if image.mode == 'P' else StoredImage(_MODES.get(image.mode, 'uint8'), 1, False, None, None)
            kind = _TIFF_KINDS.get(tags.get(_SAMPLE_FORMAT, (1,))[0], 'uint')
            bits = max(max(tags.get(_BITS, (8,))), 8)
            return StoredImage(f'{kind}{bits}', int(tags.get(_SAMPLES, 1)), False, None, None)
