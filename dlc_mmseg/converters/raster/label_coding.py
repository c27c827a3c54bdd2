"""Which values or colours of label images stand for which classes, seen from the values that occur."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.raster.class_words import IGNORED_NAME, MOST_CLASSES, NamedClass, code_word
from dlc_mmseg.errors import UserError

IGNORED = 255
MOST_CODES = 64
"""Label images with more values or colours hold no classes: they are photographs, or were compressed with loss."""
_LISTED = 12
_COLOURS = (
    *((220, 40, 40), (40, 160, 60), (40, 90, 220), (240, 200, 40), (150, 60, 190), (30, 190, 200)),
    *((240, 130, 30), (200, 170, 110), (120, 120, 120), (250, 130, 180), (110, 70, 30), (170, 220, 90)),
)
_CLOSE = 24
"""Colours that differ by less in every channel are not told apart on a map."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class LabelCounts:
    """What label images hold.

    Attributes:
        where: Folder or file, for messages.
        pixels: Pixels by code: value, or colour as ``65536 red + 256 green + blue``.
        colours: Whether codes are colours.
        palette: Colour by code, where the files say it.
        names: Name by code, where the files say it.
        nodata: Code that the files declare as no data; None if they declare none.
    """

    where: str
    pixels: Mapping[int, int]
    colours: bool = False
    palette: Mapping[int, Colour] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    nodata: int | None = None


@dataclass(frozen=True)
class LabelCoding:
    """Classes and their codes.

    Attributes:
        classes: Names.
        codes: Codes of each class.
        ignored: Codes of no class.
        colours: Whether codes are colours.
        palette: Colour of each class on maps.
        remarks: What was guessed about codes of no class.
    """

    classes: tuple[str, ...]
    codes: tuple[tuple[int, ...], ...]
    ignored: tuple[int, ...] = ()
    colours: bool = False
    palette: tuple[Colour, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def are_indices(self) -> bool:
        """Whether the codes are 0, 1, .. in the order of the classes, with 255 as the only other one."""
        return (
            not self.colours
            and all(codes == (index,) for index, codes in enumerate(self.codes))
            and set(self.ignored) <= {IGNORED}
            and len(self.classes) <= MOST_CLASSES
        )

    def label_map(self) -> dict[str, Any] | None:
        """The map as `CodedLabelDataset` takes it; None where codes are indices."""
        if self.are_indices:
            return None
        entries = {name: self._written(codes) for name, codes in zip(self.classes, self.codes, strict=True)}
        if self.ignored:
            entries[IGNORED_NAME] = self._written(self.ignored)
        return entries

    def written_codes(self) -> list[str]:
        """Codes of each class, as they are written on the command line."""
        return [','.join(code_word(code, colours=self.colours) for code in codes) for codes in self.codes]

    def _written(self, codes: Sequence[int]) -> Any:
        values = [(code >> 16, code >> 8 & 255, code & 255) if self.colours else code for code in codes]
        return values[0] if len(values) == 1 else values

    def indices(self, codes: NDArray[np.int32]) -> NDArray[np.uint8]:
        """Class indices of codes.

        Args:
            codes: Any shape; -1 where there is no label.

        Returns:
            The same shape; 255 where there is no class.
        """
        known = {code: index for index, members in enumerate(self.codes) for code in members}
        order = np.array(sorted(known), np.int64)
        values = np.array([known[code] for code in order], np.uint8)
        place = np.searchsorted(order, codes).clip(max=len(order) - 1)
        found: NDArray[np.uint8] = np.where(order[place] == codes, values[place], IGNORED).astype(np.uint8)
        return found


def find_coding(
    counts: LabelCounts, named: Sequence[NamedClass] = (), ignored: Sequence[int] | None = None
) -> LabelCoding:
    """See which codes are classes.

    Without further word every code is a class, but the nodata value of the files, and 255 unless it continues the
    other codes in even steps (0 and 255; 0, 85, 170, 255).

    Args:
        counts: What the labels hold.
        named: Classes by name, with their codes or in the order of the codes; empty: names of the files, or class_0, ..
        ignored: Codes of no class; None: as above.

    Returns:
        The coding.

    Raises:
        UserError: If the labels hold no classes, or not those named.
    """
    codes = sorted(counts.pixels)
    if len(codes) > MOST_CODES:
        what = f'labels hold {len(codes)} different {"colours" if counts.colours else "values"}'
        what += ': no classes, or compressed with loss (JPEG), resampled or drawn with soft edges'
        raise UserError(counts.where, what, 'give labels with one exact value or colour per class')
    if any(entry.codes for entry in named):
        return _with_codes(counts, named, ignored or ())
    left_out, remarks = (tuple(ignored), ()) if ignored is not None else _guess_ignored(counts, len(named))
    members = [code for code in codes if code not in left_out]
    names: list[str]
    if named and not counts.colours and set(members) <= set(range(len(named))):
        members = list(range(len(named)))  # indices, of which some may not occur
    if len(members) < 2:
        what = f'labels hold {_listed(codes, counts.colours)}: fewer than two classes'
        raise UserError(counts.where, what, 'give labels of at least two classes')
    if named and len(named) != len(members):
        what = f'names {len(named)} classes, {counts.where} holds {_listed(members, counts.colours)}'
        raise UserError('--classes', what, 'name one class for each, in this order, or write NAME=CODE')
    names = [entry.name for entry in named] or _names(counts, members)
    groups = tuple((code,) for code in members)
    there = tuple(code for code in left_out if code in counts.pixels)
    return LabelCoding(tuple(names), groups, there, counts.colours, class_colours(counts, groups), remarks)


def class_colours(counts: LabelCounts, groups: Sequence[Sequence[int]]) -> tuple[Colour, ...]:
    """Colours of classes on maps: those of the labels where they can be told apart, else twelve and more of our own."""
    if counts.colours:
        own = [(group[0] >> 16, group[0] >> 8 & 255, group[0] & 255) for group in groups if group]
    else:
        own = [counts.palette[group[0]] for group in groups if group and group[0] in counts.palette]
    pairs = ((first, second) for number, first in enumerate(own) for second in own[:number])
    if len(own) == len(groups) and all(max(abs(a - b) for a, b in zip(*pair, strict=True)) > _CLOSE for pair in pairs):
        return tuple(own)
    return tuple(_colour(number) for number in range(len(groups)))


def _colour(number: int) -> Colour:
    if number < len(_COLOURS):
        return _COLOURS[number]
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.5 + 0.4 * (number % 2), 0.6 + 0.1 * (number % 4))
    return round(255 * red), round(255 * green), round(255 * blue)


def _guess_ignored(counts: LabelCounts, wanted: int) -> tuple[tuple[int, ...], tuple[str, ...]]:
    codes = sorted(counts.pixels)
    left_out = []
    if counts.nodata in counts.pixels and len(codes) > 2:
        left_out.append(int(counts.nodata or 0))
    steps = {after - before for before, after in pairwise(codes)}
    enough = not wanted or wanted < len(codes)
    if not counts.colours and IGNORED in codes and len(codes) > 2 and max(steps) - min(steps) > 1 and enough:
        left_out.append(IGNORED)
    words = [code_word(code, colours=counts.colours) for code in dict.fromkeys(left_out)]
    return tuple(dict.fromkeys(left_out)), tuple(f'{word} is taken for no class' for word in words)


def _with_codes(counts: LabelCounts, named: Sequence[NamedClass], ignored: Sequence[int]) -> LabelCoding:
    if named[0].colours != counts.colours:
        kinds = ('values', 'colours') if counts.colours else ('colours', 'values')
        raise UserError('--classes', f'gives {kinds[0]}, but {counts.where} holds {kinds[1]}', f'give {kinds[1]}')
    left_out = list(ignored)
    if not counts.colours and IGNORED in counts.pixels:
        left_out.append(IGNORED)
    known = {code for entry in named for code in entry.codes}
    if strange := [code for code in sorted(counts.pixels) if code not in known and code not in left_out]:
        what = f'{counts.where} holds {_listed(strange, counts.colours)}, which --classes does not name'
        remedy = f'add to a class, or leave out with --ignored {code_word(strange[0], colours=counts.colours)}'
        raise UserError('--classes', what, remedy)
    groups = tuple(entry.codes for entry in named)
    there = tuple(code for code in dict.fromkeys(left_out) if code in counts.pixels and code not in known)
    names = tuple(entry.name for entry in named)
    return LabelCoding(names, groups, there, counts.colours, class_colours(counts, groups))


def _names(counts: LabelCounts, members: Sequence[int]) -> list[str]:
    names = [' '.join(counts.names.get(code, '').split()) for code in members]
    usable = all(names) and len(set(names)) == len(names) and IGNORED_NAME not in names
    return names if usable else [f'class_{number}' for number in range(len(members))]


def _listed(codes: Sequence[int], colours: bool) -> str:
    words = [code_word(code, colours=colours) for code in codes]
    return ', '.join(words[:_LISTED]) + (f' and {len(words) - _LISTED} more' if len(words) > _LISTED else '')
