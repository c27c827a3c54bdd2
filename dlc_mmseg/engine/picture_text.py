"""Text in pictures: never cut off, and in letters that a font here has."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties, fontManager, get_font
from mmengine.logging import print_log

from dlc_mmseg.checks.report import printable

_BASE = 'DejaVu Sans'  # comes with Matplotlib
_DPI = 288  # letters are measured at this resolution, where hinting moves them by little


def font_of(text: str, size: float) -> FontProperties:
    """A font for a text: DejaVu Sans, and beside it installed fonts that have what it lacks.

    Args:
        text: What is to be written.
        size: In points.

    Returns:
        Properties that name the families in order.
    """
    lacking = frozenset(text) - _letters(_BASE)
    return FontProperties(family=[_BASE, *(_families(lacking) if lacking else ())], size=size)


def writable(text: str) -> str:
    """Text on one line, with '?' in place of letters that no installed font has.

    Args:
        text: Any text, such as a file name.
    """
    line = printable(text)
    missing = _unknown(frozenset(line))
    return ''.join('?' if letter in missing else letter for letter in line)


def class_captions(classes: Sequence[str]) -> list[str]:
    """Names of classes as pictures can show them.

    Args:
        classes: K class names.

    Returns:
        The names; ``class 3`` in place of one in letters that no installed font has, which is said once per run.
    """
    captions = [printable(str(name)) for name in classes]
    numbers = tuple(index for index, caption in enumerate(captions) if _unknown(frozenset(caption)))
    if numbers:
        _warn_once(tuple(captions), numbers)
    return [f'class {index}' if index in numbers else caption for index, caption in enumerate(captions)]


def text_size(text: str, size: float) -> tuple[float, float]:
    """Width and height of a text of one or more lines, in inches.

    Args:
        text: The text.
        size: In points.
    """
    lines = text.split('\n')
    return max(_line_width(line, size) for line in lines), len(lines) * size * 1.25 / 72


def wrapped(text: str, width: float, size: float) -> str:
    """Break a text into lines that fit: at blanks; a word that does not fit after ``_ - . / ,``; then anywhere.

    Args:
        text: The text.
        width: In inches.
        size: In points.

    Returns:
        The text with line breaks.
    """
    lines: list[str] = []
    for word in text.split():
        joined = f'{lines[-1]} {word}' if lines else word
        if _line_width(joined, size) <= width:
            lines[-1:] = [joined]
        else:
            lines += _broken(word, width, size)
    return '\n'.join(lines)


def _broken(word: str, width: float, size: float) -> list[str]:
    """A word in parts that fit, as few as can be; a single letter always does."""
    if _line_width(word, size) <= width:
        return [word]
    lines = ['']
    for part in re.findall(r'[^_\-./,]*[_\-./,]?', word):
        if _line_width(lines[-1] + part, size) <= width:
            lines[-1] += part
            continue
        lines.append('')
        for letter in part:
            if lines[-1] and _line_width(lines[-1] + letter, size) > width:
                lines.append('')
            lines[-1] += letter
    return [line for line in lines if line]


@lru_cache(maxsize=4096)
def _line_width(line: str, size: float) -> float:
    width, _, _ = _renderer().get_text_width_height_descent(line, font_of(line, size), False)
    return float(width) / _DPI


@lru_cache(maxsize=1)
def _renderer() -> Any:
    return RendererAgg(1, 1, _DPI)  # type: ignore[no-untyped-call]


@lru_cache(maxsize=1)
def _fonts() -> dict[str, str]:
    """Files of the installed upright fonts of normal weight, by family; the placeholder font is none of them."""
    upright = [font for font in fontManager.ttflist if font.style == 'normal' and font.weight in (400, 'normal')]
    return {font.name: font.fname for font in upright if 'Last Resort' not in font.name}


@lru_cache(maxsize=256)
def _letters(family: str) -> frozenset[str]:
    return frozenset(map(chr, get_font(_fonts()[family]).get_charmap()))


@lru_cache(maxsize=64)
def _families(lacking: frozenset[str]) -> tuple[str, ...]:
    """Installed families that together have the most of some letters, those with most of them first."""
    covered = {name: lacking & _letters(name) for name in sorted(_fonts()) if name != _BASE}
    families: list[str] = []
    while covered:
        best = max(covered, key=lambda name: len(covered[name]))
        if not covered[best]:
            break
        families.append(best)
        found = covered.pop(best)
        covered = {name: letters - found for name, letters in covered.items()}
    return tuple(families)


def _unknown(letters: frozenset[str]) -> frozenset[str]:
    """Letters that no installed font has."""
    lacking = letters - _letters(_BASE)
    return lacking - frozenset().union(*map(_letters, _families(lacking))) if lacking else lacking


@lru_cache(maxsize=64)
def _warn_once(captions: tuple[str, ...], numbers: tuple[int, ...]) -> None:
    listed = ', '.join(f'class {index} is {captions[index]}' for index in numbers)
    print_log(
        f'pictures: no font here has the letters of some class names, which are numbered instead ({listed}): '
        'install a font that has them, such as Noto Sans CJK',
        logger='current',
        level=logging.WARNING,
    )
