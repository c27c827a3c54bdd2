"""Reading rasters of any number of bands and depth, and scaling them to 8 bits."""

from __future__ import annotations

import importlib.util
import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.converters.raw_images import MAX_PIXELS, pixel_limit, quiet
from dlc_mmseg.errors import UserError

PERCENTILES = (2.0, 98.0)
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA = 258, 262, 277, 284, 338


def read_bands(raw: RawFile) -> NDArray[Any]:
    """Decode all bands of a TIFF as they are stored: no palette, no premultiplied alpha, full depth.

    Rasterio is used where it is installed. Without it Pillow and OpenCV read most files; the others are refused
    rather than read wrongly.

    Args:
        raw: The file.

    Returns:
        Array (H, W, C), C >= 1, in the order of the file.

    Raises:
        UserError: If the file is truncated, damaged, or needs rasterio, which is not there.
    """
    data = raw.read()
    try:
        with quiet():
            array = _with_rasterio(data) if importlib.util.find_spec('rasterio') else _without_rasterio(data)
    except Exception as error:
        reason = ' '.join(str(error).split())
        raise UserError(raw, f'truncated or damaged image ({reason})', 'download or extract it again') from error
    if array is None:
        raise UserError(raw, 'this kind of TIFF needs rasterio', "pip install 'dlc-mmseg[raster]'")
    return array if array.ndim == 3 else array[..., None]


def _with_rasterio(data: bytes) -> NDArray[Any]:
    from rasterio.io import MemoryFile

    with MemoryFile(data) as file, file.open() as raster:  # type: ignore[no-untyped-call]
        return np.moveaxis(raster.read(), 0, -1)


def _without_rasterio(data: bytes) -> NDArray[Any] | None:
    tags = TiffImagePlugin.ImageFileDirectory_v2(data[:16] if data[2:3] == b'\x2b' else data[:8])  # 43: BigTIFF
    stream = io.BytesIO(data)
    stream.seek(tags.next)
    tags.load(stream)
    samples, deep = tags.get(_SAMPLES, 1), max(tags.get(_BITS, (1,))) > 8
    if samples == 1 or not deep:
        decoded = _with_pillow(data, samples)
        if decoded is not None:
            return decoded
    rgb = tags.get(_PHOTOMETRIC) == 2 and tags.get(_PLANAR, 1) == 1
    if not rgb or samples not in (3, 4) or (not deep and tags.get(_EXTRA, (0,)) != (0,)):
        return None
    array: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise OSError('OpenCV cannot decode it')
    return cv2.cvtColor(array, cv2.COLOR_BGR2RGB if samples == 3 else cv2.COLOR_BGRA2RGBA)


def _with_pillow(data: bytes, samples: int) -> NDArray[Any] | None:
    try:
        with pixel_limit(MAX_PIXELS), Image.open(io.BytesIO(data)) as image:
            if len(image.getbands()) == samples:
                image.load()
                return np.asarray(image)
    except (UnidentifiedImageError, ValueError):  # a kind Pillow does not know; damage is an OSError
        pass
    return None


def to_8_bits(bands: NDArray[Any], value_range: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Scale bands to 0..255; 8-bit ones are left as they are.

    Args:
        bands: Array (H, W, C) of integers or floats; 0 and what is not finite mean no data.
        value_range: Values that become 0 and 255 in all bands; None takes the 2nd and 98th percentile of the
            data in each band of this image.

    Returns:
        Array (H, W, C); linear between the two values, clipped beyond them, 0 where there is no data.
    """
    if bands.dtype == np.uint8:
        return bands
    scaled = np.zeros(bands.shape, np.uint8)
    for channel in range(bands.shape[2]):
        band = bands[..., channel].astype(np.float32)
        valid = np.isfinite(band) & (band != 0)
        if valid.any():
            low, high = value_range or np.percentile(band[valid], PERCENTILES)
            band = np.where(valid, (band - low) / max(high - low, np.finfo(np.float32).tiny), 0)
            scaled[..., channel] = np.rint(band.clip(0, 1) * 255)
    return scaled
