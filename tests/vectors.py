"""Small files of polygons for tests, written with pyogrio."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def box_wkb(left: float, bottom: float, right: float, top: float) -> bytes:
    """A rectangle as well-known binary."""
    ring = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return struct.pack('<BIII', 1, 3, 1, len(ring)) + b''.join(struct.pack('<dd', *point) for point in ring)


def write_polygons(
    path: Path,
    boxes: list[tuple[float, float, float, float]],
    crs: str = 'EPSG:32633',
    layer: str | None = None,
    **columns: Any,
) -> Path:
    """A file of rectangles (left, bottom, right, top) with attributes."""
    raw = pytest.importorskip('pyogrio.raw')
    path.parent.mkdir(parents=True, exist_ok=True)
    values = [np.array(column, object if isinstance(column[0], str) else None) for column in columns.values()]
    options = {} if layer is None else {'layer': layer, 'append': path.exists()}
    shapes = np.array([box_wkb(*box) for box in boxes], object)
    raw.write(path, shapes, values, list(columns), geometry_type='Polygon', crs=crs, **options)
    return path
