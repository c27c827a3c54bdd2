"""What an image file says about itself, without decoding it, and whether it is all there."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import BinaryIO, NamedTuple

from PIL import Image, UnidentifiedImageError

from dlc_mmseg.checks.report import Track, one_line, silent

_NO_IMAGE = 'is no image'
_PILLOW_KNOWS = ('.png', '.jpg', '.jpeg', '.bmp')
_DECODE_ERRORS = (OSError, ValueError, SyntaxError, struct.error, IndexError, KeyError, EOFError)
_CHUNK = 64
"""Files that a thread reads in one go; one by one, handing them out costs more than reading them."""
_PNG_START, _PNG_HEAD = b'\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR', 41
_PNG_MODES = {
    **dict.fromkeys([(1, 0)], '1'),
    **dict.fromkeys([(2, 0), (4, 0), (8, 0)], 'L'),
    **dict.fromkeys([(8, 2), (16, 2)], 'RGB'),
    **dict.fromkeys([(8, 6), (16, 6), (16, 4)], 'RGBA'),
    (16, 0): 'I;16',
    (8, 4): 'LA',
}
"""Pillow's modes by bit depth and colour type; palettes lie between header and pixels."""
_TIFF_STARTS, _TIFF_LENGTHS = ((273, 324), (279, 325))  # offsets and byte counts of strips and of tiles


class Header(NamedTuple):
    """What the beginning and the end of a file tell.

    Attributes:
        size: Height and width in pixels; None where the format is unknown here.
        mode: Pillow's name of the pixel type, such as ``L``, ``P``, ``RGB``, ``I;16``; empty where unknown.
        bytes: Length of the file.
        fault: What is wrong with the file; None if nothing is.
        complete: False if the end looks cut off, which decoding must confirm.
        lossy: Whether its compression changes values.
    """

    size: tuple[int, int] | None
    mode: str
    bytes: int
    fault: str | None
    complete: bool
    lossy: bool = False


def read_headers(paths: list[str], description: str, track: Track = silent) -> dict[str, Header]:
    """Headers of many files.

    Args:
        paths: Local files; remote ones (``scheme://``) are left out.
        description: Shown beside the progress.
        track: Shows the progress.

    Returns:
        Header by path.
    """
    local = [path for path in dict.fromkeys(paths) if '://' not in path]
    chunks = [local[start : start + _CHUNK] for start in range(0, len(local), _CHUNK)]
    with ThreadPoolExecutor(threads()) as pool, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # Pillow's, on large images
        found = chain.from_iterable(pool.map(_read_chunk, chunks))
        return dict(zip(local, track(found, description, len(local)), strict=True))


def _read_chunk(paths: list[str]) -> list[Header]:
    return [read_header(path) for path in paths]


def read_header(path: str) -> Header:
    """Header of one file.

    Args:
        path: The file.

    Returns:
        What it says, or its fault.
    """
    try:
        quick = _plain_png(path)
        if quick is not None:
            return quick
        length = os.stat(path).st_size
        if length == 0:
            return Header(None, '', 0, 'is empty (0 bytes)', True)
        with open(path, 'rb') as file, Image.open(file) as image:
            size = (image.height, image.width)
            lossy = image.format == 'JPEG' or image.info.get('compression') == 'jpeg'
            return Header(size, image.mode, length, None, _is_complete(file, image, length), lossy)
    except UnidentifiedImageError:
        known = path.lower().endswith(_PILLOW_KNOWS)
        return Header(None, '', length, _NO_IMAGE if known else None, not known)
    except Image.DecompressionBombError:
        return Header(None, '', length, None, True)  # for the pipeline's own reader to decide
    except _DECODE_ERRORS as error:
        return Header(None, '', 0, f'cannot be read ({getattr(error, "strerror", None) or one_line(error)})', True)


def decode_fault(path: str) -> str | None:
    """Decode a file whole, strictly.

    Args:
        path: A file of a format that Pillow knows.

    Returns:
        What is wrong with it, or None.
    """
    try:
        with open(path, 'rb') as file, Image.open(file) as image:
            stored = image.format == 'TIFF' and image.info.get('compression') == 'raw'
            if stored and _is_complete(file, image, os.stat(path).st_size):
                return None  # nothing to decode, and Pillow cannot read bands of 16 bits that lie one after the other
            image.load()
    except UnidentifiedImageError:
        return _NO_IMAGE
    except _DECODE_ERRORS as error:
        return f'does not decode ({one_line(error)})'
    return None


def threads() -> int:
    """Threads that read files: reading waits for the disk more than it computes."""
    return min(4 * (os.cpu_count() or 1), 16)


def _plain_png(path: str) -> Header | None:
    """Header of a PNG whose pixels follow right behind it, which is all that Pillow would look at; None for others."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        start, length = os.read(descriptor, _PNG_HEAD), os.fstat(descriptor).st_size
        if len(start) < _PNG_HEAD or start[:16] != _PNG_START or start[37:] != b'IDAT':
            return None
        width, height, depth, colour, method, rule, _ = struct.unpack('>IIBBBBB', start[16:29])
        mode = _PNG_MODES.get((depth, colour))
        broken = zlib.crc32(start[12:29]) != int.from_bytes(start[29:33], 'big')
        limit = Image.MAX_IMAGE_PIXELS or 0
        if mode is None or broken or method or rule or not 0 < width * height <= limit:
            return None
        os.lseek(descriptor, max(0, length - 12), os.SEEK_SET)
        return Header((height, width), mode, length, None, os.read(descriptor, 12)[4:8] == b'IEND')
    finally:
        os.close(descriptor)


def _is_complete(file: BinaryIO, image: Image.Image, length: int) -> bool:
    if image.format == 'PNG':
        file.seek(max(0, length - 12))
        return bool(file.read(12)[4:8] == b'IEND')
    if image.format == 'JPEG':
        file.seek(max(0, length - 2))
        return bool(file.read(2) == b'\xff\xd9')
    if image.format == 'TIFF':
        tags = image.tag_v2  # type: ignore[attr-defined]
        for start, size in zip(_TIFF_STARTS, _TIFF_LENGTHS, strict=True):
            if start in tags and size in tags:
                ends = (first + count for first, count in zip(tags[start], tags[size], strict=False))
                return max(ends, default=0) <= length
    return image.format in ('BMP', 'PPM')
