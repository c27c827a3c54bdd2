"""The schedule of a resumed run is that of its config, not the one its checkpoint was written with.

MMEngine's `Runner.resume` loads the state of every scheduler and of the optimizer's groups over what the config built,
``end``, ``milestones`` and base rates included: a run that is resumed with a longer schedule stays at the last rate of
the shorter one, which is 0 for `PolyLR` (open-mmlab/mmengine issue 1565).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from dlc_mmseg.checks.schedulers import changed_settings, each_of, schedule_changes
from dlc_mmseg.errors import UserError

_SETTINGS = ('lr', 'momentum', 'betas', 'weight_decay')


class ConfigSchedule:
    """Schedulers and settings of the optimizer as the config builds them, to be compared with a checkpoint's.

    Args:
        runner: A runner whose optimizer and schedulers are built and have not stepped.
    """

    def __init__(self, runner: Runner) -> None:
        self._schedulers = [deepcopy(scheduler.state_dict()) for scheduler in schedulers_of(runner)]
        self._groups = [deepcopy(_settings(group)) for group in _groups(runner)]

    def differences(self, checkpoint: Mapping[str, Any]) -> list[str]:
        """What a checkpoint would restore otherwise.

        Args:
            checkpoint: A checkpoint of MMEngine.

        Returns:
            Names of settings with the checkpoint's value and the config's.
        """
        found = schedule_changes(checkpoint.get('param_schedulers'), self._schedulers)
        scheduled = {str(state['param_name']) for state in self._schedulers}
        if 'momentum' in scheduled:
            scheduled.add('betas')  # Adam's momentum is the first of them
        old_groups = list(_flat_groups(checkpoint.get('optimizer')))
        for old, new in zip(old_groups, self._groups, strict=False):
            settings = {key: value for key, value in new.items() if key not in scheduled}
            found += changed_settings('optimizer', {key: old.get(key) for key in settings}, settings)
        return list(dict.fromkeys(found))

    def apply(self, runner: Runner) -> None:
        """Put the config's schedule in the place of what was restored, at the iteration that was reached.

        Args:
            runner: The runner, resumed.

        Raises:
            UserError: If the schedule follows validations, which cannot be repeated.
        """
        schedulers = list(schedulers_of(runner))
        if any(getattr(scheduler, 'need_val_args', False) for scheduler in schedulers):
            what = 'differs from that of the checkpoint, and follows the validations before it'
            raise UserError('param_scheduler', what, 'set load_from to the checkpoint and resume=False')
        for group, settings in zip(_groups(runner), self._groups, strict=True):
            group.update(deepcopy(settings))
        for scheduler, state in zip(schedulers, self._schedulers, strict=True):
            scheduler.load_state_dict(deepcopy(state))
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of steps before the optimizer's first
            _repeat(schedulers, runner.iter, by_epoch=False)
            _repeat(schedulers, runner.epoch, by_epoch=True)


def schedulers_of(runner: Runner) -> Iterator[Any]:
    """All schedulers of a runner, of one optimizer or several; none where no hook steps them.

    Args:
        runner: The runner, its schedulers built.

    Yields:
        The schedulers.
    """
    if any(isinstance(hook, ParamSchedulerHook) for hook in runner.hooks):
        yield from each_of(runner.param_schedulers)


def _groups(runner: Runner) -> Iterator[dict[str, Any]]:
    wrapper: Any = runner.optim_wrapper
    for part in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
        yield from part.param_groups


def _flat_groups(optimizer: Any) -> Iterator[Mapping[str, Any]]:
    """Groups of a checkpoint's optimizer in the order of `OptimWrapper.param_groups`."""
    if not isinstance(optimizer, Mapping):
        return
    if 'param_groups' not in optimizer:
        for part in optimizer.values():
            yield from _flat_groups(part)
        return
    yield from optimizer['param_groups']
    if optimizer.get('base_param_settings'):
        yield optimizer['base_param_settings']


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key in _SETTINGS or key.startswith('initial_')}


def _repeat(schedulers: Sequence[Any], steps: int, *, by_epoch: bool) -> None:
    """Steps of `ParamSchedulerHook` from the start; MMEngine's schedulers know no shorter way."""
    chosen = [scheduler for scheduler in schedulers if bool(scheduler.by_epoch) is by_epoch]
    for _ in range(steps if chosen else 0):
        for scheduler in chosen:
            scheduler.step()
