"""Reads raw images and refuses truncated or damaged ones."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.errors import UserError

MAX_PIXELS = 2**30
"""Images above this many pixels are taken for damaged headers (a 20 000 x 20 000 mosaic has 0.4e9)."""

_ROWS = 256


@contextmanager
def pixel_limit(limit: int) -> Iterator[None]:
    """Pillow's guard against decompression bombs trips on orthophotos: lift it for one file."""
    previous, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = previous


@contextmanager
def quiet() -> Iterator[None]:
    """Pillow warns about damaged tags; what concerns the pixels raises."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield


def read_image(raw: RawFile) -> NDArray[np.uint8]:
    """Decode an 8-bit image.

    Args:
        raw: A TIFF (or any other format Pillow reads), uncompressed or compressed, striped or tiled.

    Returns:
        Array (H, W, C), or (H, W) for a single band, values 0..255, in the file's band order;
        a palette is resolved to RGB.

    Raises:
        UserError: If the file is truncated, damaged, no image or not of 8 bits.
    """
    data = io.BytesIO(raw.read())
    try:
        with pixel_limit(MAX_PIXELS), quiet(), Image.open(data) as image:
            image.load()
            data.close()  # frees the file's bytes
            array = _pixels(image.convert('RGB') if image.mode == 'P' else image)
    except UnidentifiedImageError as error:
        raise UserError(raw, 'is no image that can be read', 'download or extract it again') from error
    except Exception as error:
        reason = ' '.join(str(error).split())
        raise UserError(raw, f'truncated or damaged image ({reason})', 'download or extract it again') from error
    if array.dtype != np.uint8:
        raise UserError(raw, f'has {array.dtype} values, expected 8 bits per band', 'use the published files')
    return array


def _pixels(image: Image.Image) -> NDArray[Any]:
    """All pixels of an image, taken over in strips: Pillow's own way copies the whole twice."""
    array = np.asarray(image.crop((0, 0, image.width, min(_ROWS, image.height))))
    pixels = np.empty((image.height, *array.shape[1:]), array.dtype)
    for top in range(0, image.height, _ROWS):
        bottom = min(top + _ROWS, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def read_rgb(raw: RawFile) -> NDArray[np.uint8]:
    """Decode the three colour bands of an image.

    Args:
        raw: Image of three bands; a fourth (alpha) is left out.

    Returns:
        Array (H, W, 3), values 0..255, in the file's band order: red, green, blue or infrared, red, green.

    Raises:
        UserError: If the file cannot be decoded or has another number of bands.
    """
    array = read_image(raw)
    if array.ndim != 3 or array.shape[2] not in (3, 4):
        bands = 1 if array.ndim == 2 else array.shape[2]
        raise UserError(raw, f'has {bands} band(s), expected three', 'use the published files')
    return array[..., :3]
