"""What an image file says about itself: size, bands, type and pixel size on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dlc_mmseg.converters.raster.grid import ground_pixel_size, plain_pixel_size
from dlc_mmseg.converters.raster.label_coding import MOST_CODES
from dlc_mmseg.converters.raw_images import MAX_PIXELS, pixel_limit, quiet
from dlc_mmseg.datasets.raster_loading import picture_kind
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import import_rasterio, open_raster

_LOOKED_AT = 1024
"""Side in pixels of the middle of an image, whose values are looked at."""


@dataclass(frozen=True)
class ImageFacts:
    """Facts of an image as training will read it.

    Attributes:
        size: Height and width in pixels.
        bands: Meaning of each band but transparency, such as ``red``; empty where the file does not say.
        dtype: Type of the values, as NumPy names it.
        pixel_size: Metres on the ground; None where the file does not say.
    """

    size: tuple[int, int]
    bands: tuple[str, ...]
    dtype: str
    pixel_size: float | None


def is_picture(path: Path) -> bool:
    """Whether a file is an 8-bit picture (JPEG, PNG ..) and no raster.

    Raises:
        UserError: If it cannot be read.
    """
    try:
        with path.open('rb') as file:
            return bool(picture_kind(file.read(32)))
    except OSError as error:
        raise UserError(path, f'cannot be read ({error.strerror or error})', 'restore the file') from error


def read_facts(path: Path) -> ImageFacts:
    """Facts of an image.

    Args:
        path: Picture or raster.

    Raises:
        UserError: If it cannot be read, or is a raster and rasterio is not installed.
    """
    if not is_picture(path):
        with open_raster(str(path)) as file:
            names = [kind.name for kind in file.colorinterp]
            bands = tuple(
                (text or name) for text, name in zip(file.descriptions, names, strict=True) if name != 'alpha'
            )
            plain = tuple('' if band in ('undefined', 'gray') else band.lower() for band in bands)
            return ImageFacts((file.height, file.width), plain, file.dtypes[0], ground_pixel_size(file))
    with _opened(path, decode=False) as image:
        size = (image.height, image.width)
    return ImageFacts(size, ('red', 'green', 'blue'), 'uint8', _of_world_file(path, size))


def looks_like_labels(path: Path) -> bool:
    """Whether an image holds so few values or colours that they are classes.

    Args:
        path: Picture or raster.

    Raises:
        UserError: As `read_facts`.
    """
    if is_picture(path):
        with _opened(path) as image:
            if image.mode in ('1', 'P', 'L', 'RGB', 'RGBA', 'LA'):
                values = np.asarray(image.crop(_middle(image.height, image.width)))
                return _few(values.reshape(*values.shape[:2], -1))
            return False
    with open_raster(str(path)) as file:
        if file.count > 4 or file.dtypes[0] not in ('uint8', 'uint16', 'int16', 'int32', 'uint32', 'float32', 'int64'):
            return False
        left, top, right, bottom = _middle(file.height, file.width)
        window = import_rasterio(path).windows.Window(left, top, right - left, bottom - top)
        values = np.moveaxis(file.read(window=window), 0, -1)
        return (values.dtype.kind != 'f' or not (values % 1 != 0).any()) and _few(values)


def _few(values: np.ndarray) -> bool:
    pixels = values.reshape(-1, values.shape[2])
    return len(np.unique(pixels, axis=0)) <= MOST_CODES


def _middle(height: int, width: int) -> tuple[int, int, int, int]:
    left, top = max(0, (width - _LOOKED_AT) // 2), max(0, (height - _LOOKED_AT) // 2)
    return left, top, min(width, left + _LOOKED_AT), min(height, top + _LOOKED_AT)


def _opened(path: Path, *, decode: bool = True) -> Image.Image:
    try:
        with quiet(), pixel_limit(MAX_PIXELS):
            image = Image.open(path)
            if decode:
                image.load()
            return image
    except Exception as error:
        raise UserError(path, f'cannot be read ({" ".join(str(error).split())})', 'restore the file') from error


def _of_world_file(path: Path, size: tuple[int, int]) -> float | None:
    """Pixel size that a world file beside a picture tells: lines A, D, B, E, C, F of its affine transform."""
    suffix = path.suffix.lower()
    names = [suffix[:2] + suffix[-1] + 'w', suffix + 'w', '.wld']
    beside = [path.with_suffix(spelt) for name in names for spelt in (name, name.upper())]
    for place in beside:
        try:
            a, d, b, e, c, f = (float(line) for line in place.read_text(encoding='utf-8').split()[:6])
        except (OSError, ValueError):
            continue
        height, width = size
        corners = ((width / 2 + x, height / 2 + y) for x, y in ((0, 0), (1, 0), (0, 1)))
        points = [(a * x + b * y + c, d * x + e * y + f) for x, y in corners]
        return plain_pixel_size(points)
    return None
