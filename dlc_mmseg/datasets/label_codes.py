"""Label images whose values or colours are not the classes' indices."""

from __future__ import annotations

import difflib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import mmcv
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlc_mmseg.errors import UserError

IGNORED = 255
NO_CLASS = 254
"""What pixels become whose code no label map names, so that checks and loading find them."""
IGNORED_NAME = 'ignored'
"""Key of a label map for codes of no class."""


class LabelCodes(NamedTuple):
    """A label map as numbers.

    Attributes:
        classes: Class index by code; a colour's code is ``65536 red + 256 green + blue``. Codes of no class give 255.
        colours: Whether the codes are colours.
    """

    classes: dict[int, int]
    colours: bool


def parse_label_map(label_map: Mapping[str, Any], classes: Sequence[str]) -> LabelCodes:
    """Read a label map.

    Args:
        label_map: By class name the code of its pixels (a number), their colour (a tuple of red, green and blue), or
            a list of several; under ``ignored`` those of no class.
        classes: The K class names, at most 254.

    Returns:
        The map as numbers, in which codes below K that it does not name give `NO_CLASS`.

    Raises:
        UserError: If it names an unknown class, leaves one out, or its codes contradict each other.
    """
    found: dict[int, int] = {}
    kinds: set[bool] = set()
    for name, codes in label_map.items():
        index = _index(name, classes)
        for code in codes if isinstance(codes, list) else [codes]:
            number = _number(name, code)
            kinds.add(isinstance(code, tuple))
            if found.get(number, index) != index:
                raise UserError('label_map', f'gives {code} to two classes, {name!r} among them', 'leave it in one')
            found[number] = index
    absent = [name for name in classes if name not in label_map]
    if absent:
        remedy = f'add {absent[0]!r}; a class without pixels has the empty list []'
        raise UserError('label_map', f'gives no code of {", ".join(map(repr, absent))}', remedy)
    if len(kinds) > 1:
        raise UserError('label_map', 'mixes codes and colours', 'give every class a number, or every class a tuple')
    colours = True in kinds
    unnamed = {*range(len(classes)), *([IGNORED] if colours else [])} - found.keys()
    return LabelCodes(found | dict.fromkeys(sorted(unnamed), NO_CLASS), colours)


def holds_colours(info: Mapping[str, Any]) -> bool:
    """Whether the codes of an entry of a `CodedLabelDataset` are colours; False for other datasets.

    Args:
        info: The entry, or a pipeline's results.
    """
    return info.get('label_codes') == 'colours'


def decode_labels(content: bytes, *, colours: bool) -> NDArray[np.integer]:
    """Codes of a label image.

    Args:
        content: The file.
        colours: Whether codes are colours; then palettes are resolved and alpha is left out.

    Returns:
        Shape (H, W) if the image has one channel or codes are colours, else (H, W, C).
    """
    if not colours:
        labels: NDArray[np.integer] = mmcv.imfrombytes(content, flag='unchanged', backend='pillow')
        labels = labels.astype(np.uint8) if labels.dtype == np.bool_ else labels  # a PNG of one bit
        return labels[..., 0] if labels.ndim == 3 and labels.shape[2] == 1 else labels
    with Image.open(io.BytesIO(content)) as image:
        rgb = np.asarray(image.convert('RGB'), dtype=np.int32)
    packed: NDArray[np.integer] = (rgb[..., 0] << 16) | (rgb[..., 1] << 8) | rgb[..., 2]
    return packed


def code_text(code: int, *, colours: bool) -> str:
    """A code as a label map would write it."""
    return str((code >> 16, code >> 8 & 255, code & 255)) if colours else str(code)


def _index(name: str, classes: Sequence[str]) -> int:
    if name in classes:
        return list(classes).index(name)
    if name == IGNORED_NAME:
        return IGNORED
    close = difflib.get_close_matches(str(name), [*classes, IGNORED_NAME], 1)
    meant = (
        f'{close[0]!r} may be meant' if close else f'take one of {", ".join(map(repr, classes))}, or {IGNORED_NAME!r}'
    )
    raise UserError('label_map', f'names {name!r}, which is none of the classes', meant)


def _number(name: str, code: Any) -> int:
    if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= 65535:
        return code
    if isinstance(code, tuple) and len(code) == 3 and all(isinstance(part, int) and 0 <= part <= 255 for part in code):
        return int(code[0]) << 16 | int(code[1]) << 8 | int(code[2])
    remedy = 'give a number from 0 to 65535, a colour as a tuple (red, green, blue) of 0 to 255, or a list of either'
    raise UserError('label_map', f'has {code!r} for {name!r}, which is neither code nor colour', remedy)
