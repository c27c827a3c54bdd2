"""Class names and codes as they are written on the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dlc_mmseg.errors import UserError

MOST_CLASSES = 254
_REMEDY = 'write NAME, NAME=CODE, NAME=CODE,CODE or NAME=RED/GREEN/BLUE, as in building=255 or road=255/0/0'
IGNORED_NAME = 'ignored'
"""Key of a label map for codes of no class."""


@dataclass(frozen=True)
class NamedClass:
    """A class that the user names.

    Attributes:
        name: Its name.
        codes: Values or packed colours that stand for it; empty: the codes follow from the order.
        colours: Whether its codes are colours.
    """

    name: str
    codes: tuple[int, ...] = ()
    colours: bool = False


def parse_classes(words: Sequence[str], option: str = '--classes') -> tuple[NamedClass, ...]:
    """Read class names, all with codes or all without.

    Args:
        words: Such as ``building``, ``building=255``, ``low=80,120`` or ``road=255/0/0``.
        option: What they were given to, for messages.

    Returns:
        The classes, in order.

    Raises:
        UserError: If a word cannot be read, or names or codes contradict each other.
    """
    classes = []
    for word in words:
        name, sign, text = word.rpartition('=') if '=' in word else (word, '', '')
        codes = [parse_code(part, option) for part in text.split(',')] if sign else []
        if not name.strip() or name == IGNORED_NAME or len({colour for _, colour in codes}) > 1:
            raise UserError(option, f'{word!r} cannot be read', _REMEDY)
        classes.append(NamedClass(name.strip(), tuple(code for code, _ in codes), any(colour for _, colour in codes)))
    names = [entry.name for entry in classes]
    every = [code for entry in classes for code in entry.codes]
    if len(set(names)) < len(names) or len(set(every)) < len(every):
        raise UserError(option, 'names a class or a code twice', 'name each once')
    if len({(bool(entry.codes), entry.colours) for entry in classes}) > 1:
        raise UserError(option, 'mixes names with and without codes, or codes and colours', 'write all alike')
    if not 2 <= len(names) <= MOST_CLASSES:
        raise UserError(option, f'names {len(names)} classes', f'name 2 to {MOST_CLASSES}')
    return tuple(classes)


def parse_code(text: str, option: str) -> tuple[int, bool]:
    """A code, and whether it is a colour.

    Args:
        text: A number, or red, green and blue as in ``255/0/0``.
        option: What it was given to, for messages.

    Raises:
        UserError: If it is neither.
    """
    if re.fullmatch(r'\d{1,5}', text) and int(text) <= 65535:
        return int(text), False
    parts = text.split('/')
    if len(parts) == 3 and all(re.fullmatch(r'\d{1,3}', part) and int(part) <= 255 for part in parts):
        red, green, blue = map(int, parts)
        return red << 16 | green << 8 | blue, True
    raise UserError(option, f'{text!r} is neither a code nor a colour', _REMEDY)


def code_word(code: int, *, colours: bool) -> str:
    """A code as it is written on the command line."""
    return f'{code >> 16}/{code >> 8 & 255}/{code & 255}' if colours else str(code)
