"""How much of a map belongs to each class."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dlc_mmseg.deploy.maps.areas import AreaMeasure
from dlc_mmseg.files.atomic_writing import write_atomically

_ROWS = 512


class ClassArea(NamedTuple):
    """One class of a map.

    Attributes:
        name: Name of the class.
        pixels: Its pixels.
        share: Their share of the pixels with data.
        square_metres: Their area; None where the map lies nowhere.
    """

    name: str
    pixels: int
    share: float
    square_metres: float | None


def class_areas(file: Any, classes: Sequence[str], measure: AreaMeasure) -> list[ClassArea]:
    """Pixels and area of each class.

    Args:
        file: Open map of class indices.
        classes: Names of the classes.
        measure: Area of its pixels.

    Returns:
        One entry per class.
    """
    from rasterio.windows import Window

    per_row = measure.of_rows((file.height, file.width))
    pixels, areas = np.zeros(len(classes), np.int64), np.zeros(len(classes))
    for top in range(0, file.height, _ROWS):
        bottom = min(top + _ROWS, file.height)
        labels = file.read(1, window=Window(0, top, file.width, bottom - top))
        counts = np.stack([np.bincount(row, minlength=len(classes))[: len(classes)] for row in labels])
        pixels += counts.sum(0)
        if per_row is not None:
            areas += per_row[top:bottom] @ counts
    total = max(int(pixels.sum()), 1)
    return [
        ClassArea(name, int(count), int(count) / total, None if per_row is None else float(area))
        for name, count, area in zip(classes, pixels, areas, strict=True)
    ]


def write_class_table(path: Path, rows: Sequence[ClassArea]) -> None:
    """Write a table as CSV.

    Args:
        path: The file.
        rows: One entry per class.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(['class', 'name', 'pixels', 'share', 'square_metres'])
    for index, row in enumerate(rows):
        area = '' if row.square_metres is None else f'{row.square_metres:.3f}'
        writer.writerow([index, row.name, row.pixels, f'{row.share:.6f}', area])
    write_atomically(path, text.getvalue().encode())
