"""What counts epochs where iterations are counted, and loops that wait for the end of a sampler that has none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from mmengine.dataset import InfiniteSampler
from mmengine.hooks import CheckpointHook, EMAHook, LoggerHook
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from mmseg.registry import DATA_SAMPLERS, HOOKS, LOOPS, PARAM_SCHEDULERS

from dlc_mmseg.checks.config_types import is_kind, parameters_of, resolve, type_name
from dlc_mmseg.checks.loaders import LOADERS
from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.paired_sampler import PairedDomainSampler

Unit = Literal['iterations', 'epochs']

_ITERATIONS = "dict(type='IterBasedTrainLoop', max_iters=..., val_interval=...)"
_ADDED = {'checkpoint': 'CheckpointHook', 'logger': 'LoggerHook'}
"""Hooks of `Runner.register_default_hooks` that count epochs unless told otherwise."""

_MANY = 200
"""More validations or checkpoints than this in one run, at intervals of a few iterations, were meant by epoch."""


def unit_of(loop: Mapping[str, Any]) -> Unit | None:
    """What a training loop counts.

    Args:
        loop: Config of the loop, ``train_cfg``.

    Returns:
        The unit; None for loops that are neither of MMEngine's two nor derived from them.
    """
    if 'type' not in loop:
        return None if 'by_epoch' not in loop else 'epochs' if loop['by_epoch'] else 'iterations'
    if is_kind(loop, LOOPS, IterBasedTrainLoop):
        return 'iterations'
    return 'epochs' if is_kind(loop, LOOPS, EpochBasedTrainLoop) else None


def check_loop(config: Mapping[str, Any], report: Report) -> None:
    """Find loops that would not end, and parts that count in another unit than the loop.

    Args:
        config: The whole config.
        report: Receives them.
    """
    loop = config.get('train_cfg') or {}
    unit = unit_of(loop)
    _check_arguments(loop, unit, report)
    endless = _check_samplers(config, unit, report)
    if unit == 'iterations':
        _check_hooks(config, report)
        _check_schedulers(config, report)
        _check_log(config, report)
        _check_intervals(config, loop.get('max_iters'), report)
    elif unit == 'epochs' and not endless:
        _check_ends(config, loop.get('max_epochs'), report)


def _check_arguments(loop: Mapping[str, Any], unit: Unit | None, report: Report) -> None:
    if not loop:
        return  # reported where the length of training is asked for
    if ('type' in loop) == ('by_epoch' in loop):
        what = 'has both type and by_epoch' if 'type' in loop else 'has no type'
        report.error('train_cfg', what, f'set {_ITERATIONS}')
        return
    if unit is None:
        if 'type' in loop and resolve(loop, LOOPS) is None:
            report.error('train_cfg.type', f'{type_name(loop)!r} is not registered', "set it to 'IterBasedTrainLoop'")
        return
    built = resolve(loop, LOOPS) or (IterBasedTrainLoop if unit == 'iterations' else EpochBasedTrainLoop)
    known = parameters_of(built)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    length = 'max_iters' if unit == 'iterations' else 'max_epochs'
    for key in loop:
        if key not in known and key not in ('type', '_scope_', 'by_epoch'):
            remedy = f'remove it; {built.__name__} counts {unit}, its length is {length}'
            report.error(f'train_cfg.{key}', f'is no argument of {built.__name__}', remedy)


def _check_samplers(config: Mapping[str, Any], unit: Unit | None, report: Report) -> bool:
    """Report samplers without an end where one is waited for; whether training waits for one."""
    waits = False
    for name in LOADERS:
        loader = config.get(name)
        sampler = loader.get('sampler') if isinstance(loader, Mapping) else None
        if not is_endless(sampler):
            continue
        never = f'{type_name(sampler)} never ends'
        if name != 'train_dataloader':
            remedy = "set it to dict(type='DefaultSampler', shuffle=False)"
            report.error(f'{name}.sampler', f'{never}, and neither would validating or testing', remedy)
        elif unit == 'epochs':
            what = f'waits for the end of each epoch, but {never}: it would neither validate, save nor stop'
            report.error('train_cfg', what, f'set {_ITERATIONS}')
            waits = True
    return waits


def is_endless(sampler: Any) -> bool:
    """Whether a sampler draws for ever.

    Args:
        sampler: Its config.
    """
    return is_kind(sampler, DATA_SAMPLERS, InfiniteSampler, PairedDomainSampler) or 'Infinite' in type_name(sampler)


def hooks_of(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Hooks that a config names.

    Args:
        config: The whole config.

    Yields:
        Field and config of each.
    """
    for key, hook in (config.get('default_hooks') or {}).items():
        if isinstance(hook, Mapping):
            yield f'default_hooks.{key}', hook
    for index, hook in enumerate(config.get('custom_hooks') or []):
        if isinstance(hook, Mapping):
            yield f'custom_hooks.{index}', hook


def schedulers_of(config: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Parts of the schedule of learning rates and the like.

    Args:
        config: The whole config.

    Returns:
        Field and config of each part, for one optimizer or several.
    """
    return list(_schedulers('param_scheduler', config.get('param_scheduler')))


def _schedulers(name: str, value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if isinstance(value, Mapping):
        if 'type' in value:
            yield name, value
        else:
            for key, part in value.items():
                yield from _schedulers(f'{name}.{key}', part)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, part in enumerate(value):
            yield from _schedulers(f'{name}.{index}', part)


def counts_epochs(scheduler: Mapping[str, Any]) -> bool:
    """Whether a part of a schedule steps once per epoch, as MMEngine's do unless told otherwise.

    Args:
        scheduler: Its config.
    """
    return bool(scheduler.get('by_epoch', True)) and not scheduler.get('convert_to_iter_based')


def _built_hooks(config: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Hooks of the config, and those that MMEngine adds by itself where it does not name them."""
    given = config.get('default_hooks') or {}
    for key, kind in _ADDED.items():
        if isinstance(given, Mapping) and key not in given:  # None takes it out
            yield f'default_hooks.{key}', {'type': kind}
    yield from hooks_of(config)


def _check_hooks(config: Mapping[str, Any], report: Report) -> None:
    validates = config.get('val_dataloader') is not None
    for name, hook in _built_hooks(config):
        known = parameters_of(resolve(hook, HOOKS))
        if _setting(hook, known, 'by_epoch'):
            if is_kind(hook, HOOKS, CheckpointHook):
                what = 'counts epochs, train_cfg iterations: no checkpoint is written before the end'
                report.error(f'{name}.by_epoch', what, 'set it to False, with an interval of iterations')
            else:
                what = 'counts epochs, train_cfg iterations: it acts once, at the end'
                report.warning(f'{name}.by_epoch', what, 'set it to False')
        if validates and is_kind(hook, HOOKS, LoggerHook) and _setting(hook, known, 'log_metric_by_epoch'):
            what = 'train_cfg counts iterations: all validations are drawn at one point'
            report.warning(f'{name}.log_metric_by_epoch', what, 'set it to False')
        for key, value in hook.items():
            if 'epoch' in key and isinstance(value, int) and not isinstance(value, bool) and value > 0:
                remedy = 'set begin_iter instead' if is_kind(hook, HOOKS, EMAHook) else 'count iterations instead'
                what = f'{value} is never reached, train_cfg counts iterations'
                report.warning(f'{name}.{key}', what, remedy)


def _setting(part: Mapping[str, Any], known: Mapping[str, Any], key: str) -> bool:
    """An argument that is given, or its default."""
    return key in known and bool(part.get(key, known[key].default))


def _check_schedulers(config: Mapping[str, Any], report: Report) -> None:
    for name, item in schedulers_of(config):
        on_plateau = is_kind(item, PARAM_SCHEDULERS, ReduceOnPlateauParamScheduler)  # it steps at each validation
        if counts_epochs(item) and not on_plateau:
            what = f'{type_name(item)} counts epochs, train_cfg iterations: it would never step'
            report.error(f'{name}.by_epoch', what, 'set it to False, with begin and end in iterations')


def _check_log(config: Mapping[str, Any], report: Report) -> None:
    log = config.get('log_processor') or {}
    window = log.get('window_size', 1)
    if not isinstance(window, int):
        what = f'is {window!r}: training stops at the first line of the log'
        report.error('log_processor.window_size', what, 'give a number of iterations')
    for index, part in enumerate(log.get('custom_cfg') or ()):
        if part.get('window_size') == 'epoch':
            what = 'is an epoch, train_cfg counts iterations: training stops at the first line of the log'
            report.error(
                f'log_processor.custom_cfg.{index}.window_size', what, "give a number of iterations or 'global'"
            )
    if log.get('by_epoch', True):
        what = 'counts epochs, train_cfg iterations: progress and remaining time are logged wrong'
        report.warning('log_processor.by_epoch', what, 'set log_processor=dict(by_epoch=False)')


def _check_intervals(config: Mapping[str, Any], iterations: Any, report: Report) -> None:
    """Intervals of an epoch or two that stayed when the loop was changed."""
    found = [('train_cfg.val_interval', config['train_cfg'].get('val_interval'), 'validates')]
    if config.get('val_dataloader') is None:
        found = []
    found += [
        (f'{name}.interval', hook.get('interval'), 'writes a checkpoint')
        for name, hook in hooks_of(config)
        if is_kind(hook, HOOKS, CheckpointHook)
    ]
    for name, interval, does in found:
        numbers = isinstance(iterations, int) and isinstance(interval, int) and interval > 0
        if numbers and interval <= 10 and iterations // interval > _MANY:
            what = f'is {interval} iterations: the run {does} {iterations // interval} times'
            report.warning(name, what, f'count it in iterations, as in {max(iterations // 10, 1)}')


def _check_ends(config: Mapping[str, Any], epochs: Any, report: Report) -> None:
    """Schedules of an epoch loop that end at another epoch, or that count iterations up to a number of epochs."""
    schedulers = [item for _, item in schedulers_of(config) if isinstance(item.get('end'), int)]
    if not isinstance(epochs, int) or not schedulers:
        return
    last = max(item['end'] for item in schedulers)
    if all(counts_epochs(item) for item in schedulers) and last != epochs:
        what = f'the schedule ends at {last}, training at {epochs} (train_cfg.max_epochs)'
        report.warning('param_scheduler', what, f'let its last part end at {epochs}')
    elif not any(item.get('by_epoch', True) for item in schedulers) and last <= epochs:
        what = f'the schedule ends at iteration {last} (by_epoch=False), training at epoch {epochs}'
        report.warning('param_scheduler', what, 'set by_epoch=True, or let its last part end at a number of iterations')
