"""What `SelfTrainingWatchHook` said during runs, beside how they ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adaptation_study.running import json_lines, validations
from dlc_mmseg.engine.self_training_watch_hook import SelfTrainingWatchHook


class Watched(NamedTuple):
    """A self-trained run.

    Attributes:
        name: Pair, seed and variant.
        gain: MIoU over source-only of the same length, in points.
        over_warm_up: MIoU over the same run's at the end of its warm-up, in points; None where it was not validated.
        changed: Share of watched pixels that are labelled otherwise than when the warm-up ended; None where not said.
        warned: Whether the hook's rule named it, from the end of its warm-up on.
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
    trusted = [line for line in lines if 'watch.sure' in line and line['step'] >= (warmup_iterations or 0)]
    limit = SelfTrainingWatchHook().excess
    return Watched(
        name,
        round(last - source_only, 2),
        None if start is None else round(last - start['mIoU'], 2),
        round(changed[-1], 4) if changed else None,
        any(largest_excess(line) >= limit for line in trusted),
    )


def largest_excess(line: Mapping[str, float]) -> float:
    """By how much the share of a class among sure pixels exceeds that among all predictions, at most.

    Args:
        line: The hook's figures at one time.
    """
    head = 'watch.sure_share.'
    names = [name.removeprefix(head) for name in line if name.startswith(head)]
    return max(line[f'{head}{name}'] - line[f'watch.share.{name}'] for name in names)


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
