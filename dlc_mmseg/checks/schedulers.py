"""Schedulers of the config: whether they build, and whether a checkpoint to resume holds others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from dlc_mmseg.checks.loops import schedulers_of
from dlc_mmseg.checks.report import RAISED, Report, one_line

_RUNNING = frozenset({'last_step', 'verbose', 'best', 'num_bad_epochs', 'cooldown_counter'})
"""What a scheduler changes while it runs, beside names that begin with an underscore."""

State = Mapping[str, Any]


def check_schedulers(config: Mapping[str, Any], optimizer: OptimWrapper, report: Report) -> list[State] | None:
    """Build the schedulers as MMEngine's Runner would.

    Args:
        config: The whole config.
        optimizer: The built optimizer; it gets their first values.
        report: Receives those that do not build.

    Returns:
        Their states; None where one does not build, or needs the length of an epoch.
    """
    loop = config.get('train_cfg') or {}
    states: list[State] | None = []
    for name, item in schedulers_of(config):
        end = loop.get('max_epochs', 1) if item.get('by_epoch', True) else loop.get('max_iters')
        arguments = {**({} if end is None else {'end': end}), **item, 'optimizer': optimizer, 'epoch_length': 1}
        try:
            built = PARAM_SCHEDULERS.build(arguments)
        except RAISED as error:  # anything a scheduler may raise on its arguments
            report.error(name, f'does not build ({one_line(error)})', 'correct the argument it names')
            states = None
        else:
            unknown = states is None or item.get('convert_to_iter_based')
            states = None if unknown or states is None else [*states, built.state_dict()]
    return states


def schedule_changes(restored: Any, built: Sequence[State]) -> list[str]:
    """Where the schedule of a checkpoint differs from that of the config.

    Args:
        restored: ``param_schedulers`` of the checkpoint.
        built: States of the config's schedulers.

    Returns:
        Each setting with the checkpoint's value and the config's.
    """
    old_states = list(each_of(restored))
    changes = [f'{len(old_states)} -> {len(built)} schedulers'] if len(old_states) != len(built) else []
    for index, (old, new) in enumerate(zip(old_states, built, strict=False)):
        changes += changed_settings(f'param_scheduler.{index}', _fixed(old), _fixed(new))
    return changes


def changed_settings(name: str, old: State, new: State) -> list[str]:
    """Settings whose values differ.

    Args:
        name: What they belong to.
        old: The earlier values.
        new: The later ones.

    Returns:
        Each with both values.
    """
    keys = [key for key in {**old, **new} if not _same(old.get(key), new.get(key))]
    return [f'{name}.{key} {_short(old.get(key))} -> {_short(new.get(key))}' for key in keys]


def each_of(schedulers: Any) -> Iterator[Any]:
    """Items of a list, or of the lists of a dict by optimizer.

    Args:
        schedulers: ``param_schedulers`` of a Runner or of a checkpoint; None holds nothing.

    Yields:
        The items.
    """
    if isinstance(schedulers, Mapping):
        for part in schedulers.values():
            yield from each_of(part)
    elif isinstance(schedulers, Sequence):
        yield from schedulers


def _fixed(state: State) -> State:
    """What makes a scheduler the one it is."""
    return {key: value for key, value in state.items() if key not in _RUNNING and not key.startswith('_')}


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        return len(old) == len(new) and all(_same(a, b) for a, b in zip(old, new, strict=True))
    return bool(old == new)


def _short(value: Any) -> str:
    text = str(sorted(value) if isinstance(value, Mapping) else value)
    return text if len(text) < 40 else f'{text[:36]} ..'
