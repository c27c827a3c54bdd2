"""Candidates and their scores as text and as values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dlc_mmseg.deploy.selection.scoring import SCORES, CandidateScores

_COLLAPSED = 0.5  # a model whose diversity is below this share of the most diverse one's is named


def ranked(scores: Sequence[CandidateScores], by: str) -> list[CandidateScores]:
    """Candidates, best first; those without the score come last.

    Args:
        scores: The candidates.
        by: One of `SCORES`.
    """
    return sorted(scores, key=lambda row: (math.isnan(getattr(row, by)), -getattr(row, by)))


def winners(scores: Sequence[CandidateScores]) -> dict[str, str]:
    """Name of the candidate that each score would choose; scores that no two candidates have are left out.

    Args:
        scores: The candidates.
    """
    chosen = {}
    for score in SCORES:
        known = [row for row in scores if not math.isnan(getattr(row, score))]
        if len(known) > 1:
            chosen[score] = max(known, key=lambda row: getattr(row, score)).name
    return chosen


def describe(scores: Sequence[CandidateScores], classes: Sequence[str], by: str) -> list[str]:
    """Lines for people: the table, which score chooses whom, and what to mind.

    Args:
        scores: The candidates.
        classes: Names of the classes.
        by: The score that ranks.
    """
    rows = ranked(scores, by)
    labelled = not all(math.isnan(row.miou) for row in rows)
    columns = [name for name in SCORES if not all(math.isnan(getattr(row, name)) for row in rows)]
    lines = ['   '.join([*(f'{name:>11}' for name in columns), *(['true mIoU'] if labelled else []), 'candidate'])]
    for row in rows:
        cells = [_cell(getattr(row, name), 11) for name in columns]
        lines.append('   '.join([*cells, *([_cell(100 * row.miou, 9, 2)] if labelled else []), row.name]))
    lines += ['', 'predicted class shares, in percent:']
    for row in rows:
        shares = ', '.join(f'{name} {100 * share:.0f}' for name, share in zip(classes, row.shares, strict=True))
        lines.append(f'  {row.name}: {shares}')
    return [*lines, '', *_remarks(scores, classes)]


def summarise(scores: Sequence[CandidateScores], classes: Sequence[str]) -> dict[str, Any]:
    """The same as plain values; NaN becomes None.

    Args:
        scores: The candidates.
        classes: Names of the classes.
    """
    rows = []
    for row in scores:
        figures = {name: _plain(getattr(row, name)) for name in (*SCORES, 'miou')}
        shares = dict(zip(classes, (round(share, 6) for share in row.shares), strict=True))
        rows.append({'candidate': row.name, **figures, 'shares': shares})
    return {'candidates': rows, 'chosen_by': winners(scores)}


def _remarks(scores: Sequence[CandidateScores], classes: Sequence[str]) -> list[str]:
    lines, chosen = [], winners(scores)
    for name in dict.fromkeys(chosen.values()):
        lines.append(f'{", ".join(score for score, winner in chosen.items() if winner == name)}: {name}')
    if len(set(chosen.values())) > 1:
        lines.append('The scores disagree: look at maps of these candidates before you choose.')
    most = max(row.diversity for row in scores)
    for row in scores:
        if row.diversity < _COLLAPSED * most:
            share, index = max((share, index) for index, share in enumerate(row.shares))
            lines.append(f'{row.name}: {100 * share:.0f} % of its pixels are {classes[index]}: it may have collapsed.')
    return [
        *lines,
        'No score knows the truth; docs/choosing.md says how often each chose well where the truth is known.',
    ]


def _cell(value: float, width: int, digits: int = 3) -> str:
    return f'{"-" if math.isnan(value) else format(value, f".{digits}f"):>{width}}'


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
