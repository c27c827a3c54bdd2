"""Which bands of two data sets mean the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BandChoice:
    """Bands of both data sets, in one meaning.

    Attributes:
        source: Numbers, from 1; None: the three of the files.
        target: The same.
        remark: What was guessed; empty where nothing was.
    """

    source: tuple[int, ...] | None
    target: tuple[int, ...] | None
    remark: str = ''


def choose_bands(
    source: Sequence[str],
    target: Sequence[str],
    wanted_source: Sequence[int] | None = None,
    wanted_target: Sequence[int] | None = None,
) -> BandChoice:
    """Choose bands: as the user says, else by their names, else the first ones that both have.

    Args:
        source: Meaning of each band of the source, empty where unknown; bands of transparency left out.
        target: The same of the target.
        wanted_source: Numbers that the user names.
        wanted_target: The same of the target.

    Returns:
        The choice.
    """
    if wanted_source or wanted_target:
        both = tuple(wanted_source or wanted_target or ())
        return BandChoice(tuple(wanted_source or both), tuple(wanted_target or both))
    first, second = tuple(range(1, len(source) + 1)), tuple(range(1, len(target) + 1))
    shared = [name for name in dict.fromkeys(source) if name and name in target]
    if len(source) == len(target) and all(source.index(name) == target.index(name) for name in shared):
        return BandChoice(None, None) if len(source) == 3 else BandChoice(first, second)
    if len(shared) >= min(len(source), len(target), 3):
        numbers = [[names.index(name) + 1 for name in shared] for names in (list(source), list(target))]
        return BandChoice(tuple(numbers[0]), tuple(numbers[1]), f'bands both have by name: {", ".join(shared)}')
    least = min(len(source), len(target))
    remark = (
        f'source has {len(source)} bands, target {len(target)}: the first {least} of each are taken to mean the same'
    )
    return BandChoice(first[:least], second[:least], remark)
