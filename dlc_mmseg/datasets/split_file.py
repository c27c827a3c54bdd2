"""Split files (one image name per line) and what an editor may have put into them unseen."""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import NamedTuple

_UTF8 = 'save it as UTF-8 without byte order mark'
_OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, 'UTF-32'),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, 'UTF-32'),
    (codecs.BOM_UTF16_LE, 'UTF-16'),
    (codecs.BOM_UTF16_BE, 'UTF-16'),
)
_INVISIBLE = ('Cc', 'Cf', 'Co', 'Cn', 'Zl', 'Zp', 'Zs')  # of Unicode: controls, marks of formats, spaces


class SplitFault(NamedTuple):
    """Something in a split file that makes names of images wrong.

    Attributes:
        what: What is wrong and in which line.
        remedy: What to do.
        names: The names that it makes wrong, as MMSegmentation reads them.
    """

    what: str
    remedy: str
    names: tuple[str, ...] = ()


def encoding_fault(path: str | os.PathLike[str]) -> SplitFault | None:
    """Notice a file that MMEngine, which reads UTF-8, cannot read as text.

    Args:
        path: The split file.

    Returns:
        The fault, or None.
    """
    with open(path, 'rb') as file:
        content = file.read()
    for mark, name in _OTHER_MARKS:
        if content.startswith(mark):
            return SplitFault(f'is stored as {name}', _UTF8)
    try:
        content.decode('utf-8')
    except UnicodeDecodeError as error:
        line = content.count(b'\n', 0, error.start) + 1
        return SplitFault(f'line {line} is no UTF-8 (byte {content[error.start]:#04x})', _UTF8)
    return None


def name_faults(path: str | os.PathLike[str], exists: Callable[[str], bool]) -> list[SplitFault]:
    """What is wrong with lines whose image does not exist.

    Args:
        path: The split file, in UTF-8.
        exists: Whether there is an image of a name, as MMSegmentation reads it (without white space at both ends).

    Returns:
        One fault of each kind, in the order of the lines; lines of which nothing special can be said are left out.
    """
    with open(path, encoding='utf-8', newline='') as file:
        lines = file.read().split('\n')  # as MMEngine does, nothing else ends a line
    if not lines[-1]:
        del lines[-1]
    found: dict[str, tuple[SplitFault, list[str]]] = {}
    for number, name in enumerate((line.strip() for line in lines), 1):
        if exists(name):
            continue
        fault = next(_faults(name, number, exists), None)
        if fault is not None:
            found.setdefault(fault.remedy, (fault, []))[1].append(name)
    return [
        SplitFault(fault.what + (f' (and {len(names) - 1} more)' if len(names) > 1 else ''), fault.remedy, tuple(names))
        for fault, names in found.values()
    ]


def _faults(name: str, number: int, exists: Callable[[str], bool]) -> Iterator[SplitFault]:
    """What may be wrong with one line, the most telling first."""

    def fault(what: str, remedy: str) -> SplitFault:
        return SplitFault(f'line {number} {what}', remedy)

    if not name:
        yield fault('is an empty line, which counts as a name', 'remove empty lines, also at the end of the file')
        return
    if name.startswith('\ufeff'):
        yield fault('begins with a byte order mark (U+FEFF), which becomes part of the name', _UTF8)
    if '\r' in name:
        yield fault('holds carriage returns in place of line ends', 'save it with the line ends of Unix or Windows')
    unseen = next((char for char in name if char not in ' \t' and unicodedata.category(char) in _INVISIBLE), None)
    if unseen is not None:
        yield fault(f'holds an invisible character (U+{ord(unseen):04X})', 'remove it, or type the name anew')
    if name.startswith('#'):
        yield fault('is a comment, which counts as a name', 'remove comments')
    if '\\' in name and exists(name.replace('\\', '/')):
        yield fault('separates folders by backslashes', 'write forward slashes')
    if name[0] in '"\'' and name[-1] == name[0]:
        yield fault('has quotation marks, which become part of the name', 'remove them')
    first = re.split(r'[\t,; ]+', name)[0]
    if first != name and (exists(first) or exists(os.path.splitext(first)[0])):
        yield fault('holds more than a name', 'write one name per line, without suffix')
