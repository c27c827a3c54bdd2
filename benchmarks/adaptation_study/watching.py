"""What `SelfTrainingWatchHook` said during runs, beside how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adaptation_study.running import json_lines, validations

SAID = 'self-training teaches little else'  # words of the warning


class Watched(NamedTuple):
    """A self-trained run.

    Attributes:
        name: Pair, seed and variant.
        gain: MIoU over source-only of the same length, in points.
        over_warm_up: MIoU over the same run's at the end of its warm-up, in points; None where it was not validated.
        changed: Share of watched pixels that are labelled otherwise than when the warm-up ended; None where not said.
        warned: Whether the hook warned.
    """

    name: str
    gain: float
    over_warm_up: float | None
    changed: float | None
    warned: bool


def watched(name: str, folder: Path, source_only: float, warmup_iterations: int | None) -> Watched:
    """What a run's files say.

    Args:
        name: Pair, seed and variant.
        folder: Work folder of the run, which is finished.
        source_only: MIoU of source-only training, in percent.
        warmup_iterations: Of the run.
    """
    figures = validations(folder)
    last = figures[max(figures)]['mIoU']
    start = figures.get(warmup_iterations or 0)
    lines = [line for path in sorted(folder.glob('*/vis_data/scalars.json')) for line in json_lines(path)]
    changed = [line['watch.changed'] for line in lines if 'watch.changed' in line]
    warned = any(SAID in path.read_text(encoding='utf-8', errors='replace') for path in folder.glob('*/*.log'))
    return Watched(
        name,
        round(last - source_only, 2),
        None if start is None else round(last - start['mIoU'], 2),
        round(changed[-1], 4) if changed else None,
        warned,
    )


def format_watched(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A Markdown table, and a line that counts.

    Args:
        rows: Fields of `Watched`.
    """
    if not rows:
        return []
    lines = [
        '| run | mIoU over source-only | over the end of its warm-up | pixels changed since | warned |',
        '| --- | --- | --- | --- | --- |',
    ]
    for row in sorted(rows, key=lambda row: row['gain']):
        since = '' if row['over_warm_up'] is None else f'{row["over_warm_up"]:+.1f}'
        changed = '' if row['changed'] is None else f'{row["changed"]:.0%}'
        lines.append(f'| {row["name"]} | {row["gain"]:+.1f} | {since} | {changed} | {"yes" if row["warned"] else ""} |')
    below = [row for row in rows if row['gain'] < 0]
    others = [row for row in rows if row['gain'] >= 0]
    named, alarms = (sum(bool(row['warned']) for row in part) for part in (below, others))
    counted = f'{named} of {len(below)} that ended below source-only were named, and {alarms} of {len(others)} others'
    return [f'{len(rows)} self-trained runs: {counted}.', '', *lines]
