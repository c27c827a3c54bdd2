"""The log as a person reads it: one short line per interval with the figures that matter."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from mmengine.runner import LogProcessor, Runner
from mmseg.registry import LOG_PROCESSORS

_TRAINING = {
    'target.pseudo_weight': ('pseudo-labels weigh', '{:.2f}'),
    'transition.diagonal': ('diagonal of T', '{:.2f}'),
    'transition.error': ('error of T', '{:.3f}'),
    'transition.identity_error': ('of the identity', '{:.3f}'),
    'grad_norm': ('gradient', '{:.2g}'),
    'lr': ('lr', '{:.1e}'),
    'memory': ('GPU memory', '{:.0f} MiB'),
}
_VALIDATION = {
    'mIoU': 'mIoU',
    'mFscore': 'mean F1',
    'aAcc': 'OA',
    'mRecall': 'mean recall',
    'mPrecision': 'mean precision',
}


@LOG_PROCESSORS.register_module()
class ReadableLogProcessor(LogProcessor):
    """MMEngine's `LogProcessor` with short lines; every figure goes to ``scalars.json`` and the backends as before.

    A line of training holds the loss and the sum of each branch's losses, the weight of the pseudo-labels, the mean
    diagonal of T, its error where it was measured in this very iteration, learning rate and time. ``docs/log.md`` says
    what they mean. A line of validation holds the means; the table of classes stands above it.

    Takes the arguments of `LogProcessor`.
    """

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict[str, Any], str]:
        """Figures and line after an iteration.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            mode: ``train``, ``val`` or ``test``.
        """
        figures, line = super().get_log_after_iter(runner, batch_idx, mode)
        if mode != 'train':
            return figures, line
        head = line[: line.index(']  ') + 1]
        return figures, '  '.join([head, *_training(_without_mode(figures, mode)), *_time(runner, figures)])

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict[str, Any], str]:
        """Figures and line after a validation or test.

        Args:
            runner: The runner.
            batch_idx: Number of batches.
            mode: ``val`` or ``test``.
            with_non_scalar: Whether the figures include what is no number.
        """
        figures, line = super().get_log_after_epoch(runner, batch_idx, mode, with_non_scalar)
        values = _without_mode(figures, mode)
        shown = [f'{_VALIDATION[name]} {values[name]:.2f}' for name in _VALIDATION if name in values]
        return (figures, '  '.join([line[: line.index(']  ') + 1], *shown])) if shown else (figures, line)


def _without_mode(figures: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """Figures by their plain names, with or without hierarchy in the log."""
    return {name.removeprefix(f'{mode}/'): value for name, value in figures.items()}


def _training(figures: Mapping[str, Any]) -> list[str]:
    """Loss, with the share of each branch, and what else matters."""
    parts: dict[str, float] = {}
    for name, value in figures.items():
        branch, _, rest = name.partition('.')
        if 'loss' in rest:
            parts[branch] = parts.get(branch, 0.0) + float(value)
    lines = []
    if 'loss' in figures:
        shares = ', '.join(f'{branch} {value:.3f}' for branch, value in parts.items())
        lines.append(f'loss {float(figures["loss"]):.3f}' + (f' ({shares})' if len(parts) > 1 else ''))
    known = [(figures[name], *shown) for name, shown in _TRAINING.items() if name in figures]
    return lines + [f'{label} {form.format(float(value))}' for value, label, form in known]


def _time(runner: Runner, figures: Mapping[str, Any]) -> list[str]:
    lines = [f'{figures["time"]:.2f} s/iteration'] if 'time' in figures else []
    if 'eta' in runner.message_hub.runtime_info:
        lines.append(f'{datetime.timedelta(seconds=int(runner.message_hub.get_info("eta")))} left')
    return lines
