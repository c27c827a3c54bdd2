"""The commands that lead from a config to a map and a page about it."""

from __future__ import annotations

import shlex
from pathlib import Path

from dlc_mmseg.own_data.preparing import Prepared


def next_steps(prepared: Prepared, *, iterations: int, gpus: int) -> list[tuple[str, str]]:
    """Commands to go on with, each with what it does.

    Args:
        prepared: What was written.
        iterations: Of the config.
        gpus: To train on; 0 takes the CPU.

    Returns:
        Pairs of what a command does and the command, on one line.
    """
    config, source_only = prepared.config.as_posix(), prepared.source_only.as_posix()
    runs = [f'work_dirs/{Path(path).stem}' for path in (source_only, config)]
    checkpoints = [f'{run}/iter_{iterations}.pth' for run in runs]
    if prepared.target_rasters is not None:
        words = ['dlc-mmseg', 'predict', config, checkpoints[1], prepared.target_rasters.as_posix(), '--out', 'maps']
        mapping = shlex.join(words)
    else:
        mapping = _mim('test', config, gpus, '--checkpoint', checkpoints[1], '--out', 'maps')
    steps = [
        ('adapt', _mim('train', config, gpus)),
        ('what not adapting would give', _mim('train', source_only, gpus)),
        ('maps of the target, in the folder maps', mapping),
    ]
    if not prepared.validated:
        compare = shlex.join(['dlc-mmseg', 'compare', config, *checkpoints])
        steps.append(('if you like: which of both to trust, judged without labels', compare))
    report = shlex.join(['dlc-mmseg', 'report', *runs, '--out', 'report.html'])
    return [*steps, ('a page about both runs', report)]


def _mim(command: str, config: str, gpus: int, *options: str) -> str:
    return shlex.join(['mim', command, 'mmsegmentation', config, '--gpus', str(gpus), *options])
