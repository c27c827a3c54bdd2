"""Class colours of the ISPRS labels and their values in MMSegmentation's encoding."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.raw_images import read_rgb
from dlc_mmseg.converters.tiling import RawTile
from dlc_mmseg.converters.unknown_labels import check_unknown

COLOURS = (
    (0, 0, 0),  # boundary of the eroded labels, unlabelled
    (255, 255, 255),  # impervious surface
    (0, 0, 255),  # building
    (0, 255, 255),  # low vegetation
    (0, 255, 0),  # tree
    (255, 255, 0),  # car
    (255, 0, 0),  # clutter
)
"""Label colours in RGB order; the index is the label value, as MMSegmentation's converters encode it."""

UNLABELLED = 0
INEXACT = 80
"""How far the channels of an inexact colour may lie from 0 or 255 (in the two published tiles: below 87)."""

_UNKNOWN = 255
_ROWS = 256


@lru_cache(maxsize=1)
def _lookup() -> NDArray[np.uint8]:
    """Label value by packed 24-bit colour."""
    table = np.full(1 << 24, _UNKNOWN, np.uint8)
    for value, (red, green, blue) in enumerate(COLOURS):
        table[red << 16 | green << 8 | blue] = value
    return table


def _values(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    packed = rgb[..., 0].astype(np.int32) << 16
    packed |= rgb[..., 1].astype(np.int32) << 8
    packed |= rgb[..., 2]
    values: NDArray[np.uint8] = _lookup()[packed]
    return values


def encode_colours(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label values of class colours.

    Args:
        rgb: Colours (H, W, 3) in RGB order.

    Returns:
        Values (H, W): 0 unlabelled, 1..6 the classes, 255 where a colour is none of ``COLOURS``.
    """
    values = np.empty(rgb.shape[:2], np.uint8)
    for top in range(0, len(rgb), _ROWS):  # by strips: a third of the memory, twice the speed
        values[top : top + _ROWS] = _values(rgb[top : top + _ROWS])
    return values


def snap_colours(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours whose channels all lie near 0 or 255 moved there; others unchanged.

    Args:
        rgb: Colours (N, 3).

    Returns:
        Colours (N, 3).
    """
    near = np.minimum(rgb, 255 - rgb).max(axis=-1, keepdims=True) <= INEXACT
    return np.where(near, np.where(rgb >= 128, 255, 0), rgb).astype(np.uint8)


def read_label(tile: RawTile, *, max_unknown: float, inexact: frozenset[str]) -> tuple[NDArray[np.uint8], list[str]]:
    """Read a colour label.

    Args:
        tile: The tile whose label is wanted.
        max_unknown: Largest share of pixels of unknown colour, 0..1, that become unlabelled silently.
        inexact: Names of tiles whose near-class colours count as class colours.

    Returns:
        Values (H, W), 0..6, and remarks for the user.

    Raises:
        UserError: If the label is damaged or holds too many pixels of unknown colour.
    """
    rgb = read_rgb(tile.label)
    values = encode_colours(rgb)
    unknown = values == _UNKNOWN
    remarks = []
    if tile.name in inexact and unknown.any():
        values[unknown] = encode_colours(snap_colours(rgb[unknown])[None])[0]
        share = 1 - np.count_nonzero(values == _UNKNOWN) / np.count_nonzero(unknown)
        remarks.append(
            f'{tile.label}: published with inexact colours ({unknown.mean():.1%} of it), {share:.1%} matched'
        )
        unknown = values == _UNKNOWN
    remarks += check_unknown(
        tile.label,
        unknown,
        max_unknown,
        content=rgb,
        problem='have no ISPRS class colour',
        pixel_text=lambda row, column: f'RGB {tuple(rgb[row, column].tolist())}',
    )
    values[unknown] = UNLABELLED
    return values, remarks
