"""Label pixels that mean nothing: an error, or a tolerated share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.errors import UserError


def check_unknown(
    label: RawFile,
    unknown: NDArray[np.bool_],
    max_unknown: float,
    *,
    problem: str,
    describe: Callable[[int, int], str],
) -> list[str]:
    """Refuse a label with too many unknown pixels.

    Args:
        label: The file, for messages.
        unknown: Mask (H, W) of unknown pixels.
        max_unknown: Largest share tolerated, 0..1.
        problem: What is wrong with them, as in 'have no class colour'.
        describe: Gives the content of a pixel by row and column.

    Returns:
        Remarks for the user: one where pixels were tolerated.

    Raises:
        UserError: If the share is larger than ``max_unknown``; names the first pixel and the remedy.
    """
    count = int(np.count_nonzero(unknown))
    share = count / unknown.size
    if share > max_unknown:
        row, column = (int(index) for index in np.unravel_index(int(unknown.argmax()), unknown.shape))
        raise UserError(
            label,
            f'{count} of {unknown.size} pixels {problem}, the first at row {row}, column {column}: '
            f'{describe(row, column)}',
            f'repair the label or tolerate that share as unlabelled with --max_unknown {_round_up(share)}',
        )
    return [f'{label}: {count} pixels ({share:.4%}) {problem} and are unlabelled'] if count else []


def _round_up(share: float) -> str:
    """A number of two digits that is not below a share."""
    text = f'{share:.1e}'
    return text if float(text) >= share else f'{share * 1.05:.1e}'
