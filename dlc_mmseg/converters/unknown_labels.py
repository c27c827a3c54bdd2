"""Label pixels of no known class: an error, or accepted as unlabelled up to a given share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.errors import UserError

NOISE = 0.25
"""Share of unknown pixels above which no tolerance is offered: an eighth class perhaps, but no noise."""
STRAY = 0.01
"""The same for pixels of many different values, which are not painted but what compression with loss left."""
_FEW = 16
_SAMPLE = 1 << 20


def check_unknown(
    label: RawFile,
    unknown: NDArray[np.bool_],
    max_unknown: float,
    *,
    content: NDArray[np.uint8] | NDArray[np.uint16],
    problem: str,
    pixel_text: Callable[[int, int], str],
) -> list[str]:
    """Refuse a label with too many unknown pixels.

    Args:
        label: The file, for messages.
        unknown: Mask (H, W) of unknown pixels.
        max_unknown: Largest share tolerated, 0..1.
        content: The label as stored, (H, W) or (H, W, C).
        problem: What is wrong with them, as in 'have no class colour'.
        pixel_text: Gives the content of a pixel by row and column.

    Returns:
        Remarks for the user: one where pixels were tolerated.

    Raises:
        UserError: If the share is larger than ``max_unknown``; names the first pixel, and a tolerance only where the
            share may be noise, so that following it does not cost the label.
    """
    count = int(np.count_nonzero(unknown))
    share = count / unknown.size
    if share > max_unknown:
        row, column = (int(index) for index in np.unravel_index(int(unknown.argmax()), unknown.shape))
        what = (
            f'{count} of {unknown.size} pixels {problem}, the first at row {row}, column {column}: '
            f'{pixel_text(row, column)}'
        )
        different = _different(content[unknown])
        if share > STRAY and different > _FEW:
            what += f'; {different} different values: compressed with loss (JPEG), resampled or drawn with soft edges'
            remedy = 'use the published file, whose values are exact; no tolerance repairs this one'
            raise UserError(label, what, remedy)
        if share > NOISE:
            raise UserError(label, what, 'use the published file, or replace these values by those of classes first')
        remedy = f'repair the label or tolerate that share as unlabelled with --max_unknown {_round_up(share)}'
        raise UserError(label, what, remedy)
    return [f'{label}: {count} pixels ({share:.4%}) {problem} and are unlabelled'] if count else []


def _different(values: NDArray[np.uint8] | NDArray[np.uint16]) -> int:
    """Number of different values or colours among (N,) or (N, C), of an even sample where there are very many."""
    sample = values[:: max(1, len(values) // _SAMPLE)]
    return len(np.unique(sample, axis=0))


def _round_up(share: float) -> str:
    """A number of two digits that is not below a share."""
    text = f'{share:.1e}'
    return text if float(text) >= share else f'{share * 1.05:.1e}'
