"""Confusion between true classes and predictions as annotated heat maps, read both ways: recall and precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.engine.picture_sheet import Image, Sheet
from dlc_mmseg.engine.picture_text import class_captions, text_size, wrapped, writable

_HEAD, _TITLE, _AXIS, _NAME, _CELL = 10.0, 9.0, 8.0, 7.0, 7.0  # points
_GAP = 0.15
_WIDEST_NAME = 1.6  # inches; longer ones are broken into lines
_NARROWEST = 2.2  # inches; a matrix of two classes is not smaller
_NUMBERED = 20  # classes up to which entries are written out


class Confusion(NamedTuple):
    """One confusion of true classes with predictions, read by rows and by columns.

    Attributes:
        title: What it is.
        recall: Shape (K, K), ``P(predicted j | true i)``, rows sum to 1; NaN rows of classes without pixels are empty.
        precision: Shape (K, K), ``P(true i | predicted j)``, columns sum to 1; None where it is not known.
    """

    title: str
    recall: NDArray[np.floating]
    precision: NDArray[np.floating] | None = None


class _Layout(NamedTuple):
    """Inches of everything around and in a matrix."""

    side: float
    left: float
    below: float


def draw_matrices(
    confusions: Sequence[Confusion],
    classes: Sequence[str],
    *,
    rows: str = 'true class',
    columns: str = 'pseudo-label',
) -> Image:
    """Confusions side by side: recall matrices in the upper row, precision matrices, where known, in the lower one.

    Recall alone hides that most pixels predicted as a rare class are of another one.

    Args:
        confusions: At least one.
        classes: K class names.
        rows: What a row stands for.
        columns: What a column stands for.

    Returns:
        RGB image.
    """
    names = [wrapped(name, _WIDEST_NAME, _NAME) for name in class_captions(classes)]
    layout = _layout(names)
    width = len(confusions) * (layout.left + layout.side + _GAP)
    bands: list[tuple[str, list[NDArray[np.floating] | None]]] = [
        (f'P({columns} | {rows}): each row sums to 1, recall on the diagonal', [c.recall for c in confusions])
    ]
    precisions = [confusion.precision for confusion in confusions]
    if any(precision is not None for precision in precisions):
        bands.append((f'P({rows} | {columns}): each column sums to 1, precision on the diagonal', precisions))
    heads = [wrapped(head, width - _GAP, _HEAD) for head, _ in bands]
    titles = [wrapped(writable(confusion.title), layout.side, _TITLE) for confusion in confusions]
    above = max(text_size(title, _TITLE)[1] for title in titles) + 0.08
    tall = [text_size(head, _HEAD)[1] + 0.1 + above + layout.side + layout.below + _GAP for head in heads]
    sheet = Sheet(width, _GAP + sum(tall))
    y = _GAP
    for (_, matrices), head, height in zip(bands, heads, tall, strict=True):
        sheet.text(width / 2, y, head, _HEAD)
        top = y + text_size(head, _HEAD)[1] + 0.1 + above
        for number, (title, matrix) in enumerate(zip(titles, matrices, strict=True)):
            if matrix is not None:
                x = _GAP / 2 + number * (layout.left + layout.side + _GAP) + layout.left
                sheet.text(x + layout.side / 2, top - 0.06, title, _TITLE, vertical='bottom')
                _draw_matrix(sheet, np.asarray(matrix, dtype=np.float64), names, (x, top), layout, (rows, columns))
        y += height
    return sheet.pixels()


def _layout(names: Sequence[str]) -> _Layout:
    widths, heights = zip(*(text_size(name, _NAME) for name in names), strict=True)
    cell = 0.5 if len(names) <= _NUMBERED else 0.28
    cell = max(cell, max(heights) + 0.04)  # a name of several lines keeps to its row
    axis = text_size('x', _AXIS)[1] + 0.08
    slanted = (max(widths) + max(heights)) * np.sqrt(0.5)
    left = max(max(widths) + axis + 0.1, slanted - cell / 2)
    return _Layout(max(_NARROWEST, cell * len(names)), left, slanted + axis + 0.1)


def _draw_matrix(
    sheet: Sheet,
    matrix: NDArray[Any],
    names: Sequence[str],
    corner: tuple[float, float],
    layout: _Layout,
    axes: tuple[str, str],
) -> None:
    """A heat map with its upper left corner at a point, names at its left and below, what they stand for outside."""
    (x, y), cell = corner, layout.side / len(names)
    sheet.image(x, y, layout.side, layout.side, matrix, vmin=0, vmax=1, cmap='Blues')
    for index, name in enumerate(names):
        middle = (index + 0.5) * cell
        sheet.text(x - 0.06, y + middle, name, _NAME, align='right', vertical='center')
        sheet.text(x + middle, y + layout.side + 0.05, name, _NAME, align='right', vertical='top', rotation=45)
    rows, columns = axes
    sheet.text(x - layout.left + 0.02, y + layout.side / 2, rows, _AXIS, rotation=90)
    sheet.text(x + layout.side / 2, y + layout.side + layout.below, columns, _AXIS, vertical='bottom')
    if len(names) > _NUMBERED:
        return
    for (row, column), value in np.ndenumerate(matrix):
        if np.isfinite(value):
            colour = 'white' if value > 0.55 else 'black'
            place = (x + (column + 0.5) * cell, y + (row + 0.5) * cell)
            sheet.text(*place, f'{value:.2f}', _CELL, vertical='center', colour=colour)
