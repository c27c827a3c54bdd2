"""What makes a GeoTIFF a cloud-optimised one, checked on its bytes as GDAL's validate_cloud_optimized_geotiff does."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 12: 8, 13: 4, 16: 8, 11: 4, 6: 1, 7: 1}
_FORMATS = {1: 'B', 3: 'H', 4: 'I', 13: 'I', 16: 'Q'}
_SUBFILE, _WIDTH, _HEIGHT, _TILE_WIDTH, _OFFSETS, _STRIP_OFFSETS, _BYTE_COUNTS = 254, 256, 257, 322, 324, 273, 325
_MASK = 4


class Directory(NamedTuple):
    """An image file directory: where it lies, and its whole-number tags."""

    offset: int
    tags: dict[int, tuple[int, ...]]


def directories(content: bytes) -> list[Directory]:
    """Directories of a little-endian TIFF or BigTIFF, in the order in which they are chained."""
    assert content[:2] == b'II'
    big = content[2] == 43
    offset = struct.unpack_from('<Q' if big else '<I', content, 8 if big else 4)[0]
    found = []
    while offset:
        count = struct.unpack_from('<Q' if big else '<H', content, offset)[0]
        start, length = offset + (8 if big else 2), 20 if big else 12
        tags = {}
        for entry in range(start, start + count * length, length):
            code, kind = struct.unpack_from('<HH', content, entry)
            number = struct.unpack_from('<Q' if big else '<I', content, entry + 4)[0]
            place, inline = entry + (12 if big else 8), 8 if big else 4
            if kind in _FORMATS:
                if number * _SIZES[kind] > inline:
                    place = struct.unpack_from('<Q' if big else '<I', content, place)[0]
                tags[code] = struct.unpack_from(f'<{number}{_FORMATS[kind]}', content, place)
        found.append(Directory(offset, tags))
        offset = struct.unpack_from('<Q' if big else '<I', content, start + count * length)[0]
    return found


def faults_of_cog(path: str) -> list[str]:
    """Why a file is no cloud-optimised GeoTIFF; empty for one that is."""
    content = Path(path).read_bytes()
    images = [entry for entry in directories(content) if not entry.tags.get(_SUBFILE, (0,))[0] & _MASK]
    main, overviews = images[0], images[1:]
    faults = []
    large = max(main.tags[_WIDTH][0], main.tags[_HEIGHT][0]) > 512
    if b'LAYOUT=IFDS_BEFORE_DATA' not in content[:300]:
        faults.append('its header does not say that directories come first')
    if any(_STRIP_OFFSETS in image.tags or _TILE_WIDTH not in image.tags for image in images):
        faults.append('an image is not tiled')
        return faults
    if large and not overviews:
        faults.append('there are no overviews')
    widths = [image.tags[_WIDTH][0] for image in images]
    if widths != sorted(set(widths), reverse=True):
        faults.append(f'overviews do not become smaller: {widths}')
    offsets = [image.offset for image in images]
    if offsets != sorted(offsets) or offsets[0] > 500:
        faults.append(f'directories are not at the beginning, in order: {offsets}')
    data = [min(filter(None, image.tags[_OFFSETS]), default=0) for image in images]
    present = [place for place in data if place]
    if present != sorted(present, reverse=True):
        faults.append(f'overviews do not lie before the image: {data}')
    if present and min(present) < offsets[-1]:
        faults.append('data lie before the last directory')
    return faults
