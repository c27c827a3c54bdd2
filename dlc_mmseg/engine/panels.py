"""Images side by side under their titles, with the classes' colours below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dlc_mmseg.engine.picture_sheet import Image, Sheet
from dlc_mmseg.engine.picture_text import class_captions, text_size, wrapped, writable

_SIDE = 3.2  # inches that a panel fills, in its longer direction
_GAP = 0.12
_TITLE, _LEGEND = 9.0, 8.0  # points
_SWATCH = 0.13
_DPI = (110, 200)  # coarsest and finest; between them tiles keep their own pixels


class Panel(NamedTuple):
    """An image with its title.

    Attributes:
        title: Broken into lines as needed, never cut off.
        image: RGB image of any size.
    """

    title: str
    image: Image


class _Entry(NamedTuple):
    """Entry of a legend on its line."""

    x: float
    caption: str
    colour: tuple[float, float, float]


def draw_panels(rows: Sequence[Sequence[Panel | None]], legend: Sequence[tuple[str, Sequence[int]]] = ()) -> Image:
    """Titled panels in rows and columns, with the classes' colours below.

    Args:
        rows: Panels of each row, equally many in each; None leaves a place empty.
        legend: Class names with their RGB colours, 0 to 255.

    Returns:
        RGB image. Its width depends on the number of columns only, its resolution on the largest panel.
    """
    columns = max(len(row) for row in rows)
    width = columns * (_SIDE + _GAP) + _GAP
    titles = [[wrapped(writable(panel.title), _SIDE, _TITLE) if panel else '' for panel in row] for row in rows]
    heads = [max(text_size(title, _TITLE)[1] for title in row) + 0.05 for row in titles]
    bodies = [max((_displayed(panel.image)[1] for panel in row if panel), default=0.0) for row in rows]
    lines = _legend_lines(legend, width - 2 * _GAP)
    feet = [max(text_size(entry.caption, _LEGEND)[1] for entry in line) + 0.05 for line in lines]
    height = _GAP + sum(heads) + sum(bodies) + _GAP * len(rows) + sum(feet) + (_GAP if feet else 0)
    sheet = Sheet(width, height, _resolution(rows))
    y = _GAP
    for row, captions, head, body in zip(rows, titles, heads, bodies, strict=True):
        for column, (panel, caption) in enumerate(zip(row, captions, strict=True)):
            if panel:
                _draw_panel(sheet, panel, caption, _GAP + column * (_SIDE + _GAP), y + head)
        y += head + body + _GAP
    for line, foot in zip(lines, feet, strict=True):
        for entry in line:
            sheet.swatch(entry.x + _GAP, y, _SWATCH, entry.colour)
            sheet.text(entry.x + _GAP + _SWATCH + 0.05, y - 0.01, entry.caption, _LEGEND, align='left')
        y += foot
    return sheet.pixels()


def _draw_panel(sheet: Sheet, panel: Panel, caption: str, x: float, y: float) -> None:
    """The image with its upper side at y, in the middle of its column, and the title above."""
    width, height = _displayed(panel.image)
    sheet.text(x + _SIDE / 2, y - 0.04, caption, _TITLE, vertical='bottom')
    sheet.image(x + (_SIDE - width) / 2, y, width, height, panel.image)


def _displayed(image: Image) -> tuple[float, float]:
    """Width and height in inches: the longer side fills the panel."""
    height, width = image.shape[:2]
    return _SIDE * width / max(height, width), _SIDE * height / max(height, width)


def _resolution(rows: Sequence[Sequence[Panel | None]]) -> float:
    largest = max((max(panel.image.shape[:2]) for row in rows for panel in row if panel), default=0)
    return min(max(largest / _SIDE, _DPI[0]), _DPI[1])


def _legend_lines(legend: Sequence[tuple[str, Sequence[int]]], width: float) -> list[list[_Entry]]:
    """Entries in as few lines as their names allow, in columns of the legend's own width."""
    mark, gap = _SWATCH + 0.05, 0.2
    captions = [wrapped(name, width - mark, _LEGEND) for name in class_captions([name for name, _ in legend])]
    lines: list[list[_Entry]] = []
    x = width
    for caption, (_, colour) in zip(captions, legend, strict=True):
        needed = mark + text_size(caption, _LEGEND)[0]
        if x + needed > width:
            lines.append([])
            x = 0.0
        red, green, blue = (float(value) / 255 for value in colour)
        lines[-1].append(_Entry(x, caption, (red, green, blue)))
        x += needed + gap
    return lines
