"""A run that is resumed with another schedule goes on as if it had had that one from its start."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import toy
from mmengine.config import Config
from mmengine.hooks import Hook, ParamSchedulerHook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmengine.runner import runner as runner_module
from mmseg.registry import HOOKS, MODELS
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.checks import Options, check_config
from dlc_mmseg.engine.resumed_schedule import ConfigSchedule
from dlc_mmseg.errors import UserError

FIRST, ALL = 4, 8
POLY = {'type': 'PolyLR', 'by_epoch': False, 'begin': 0, 'end': FIRST}
LONG = {**POLY, 'end': ALL}
WARM = {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 2}
STEPS = {'type': 'MultiStepLR', 'by_epoch': False, 'milestones': [2, 3], 'gamma': 0.1}
COSINE = {'type': 'CosineAnnealingLR', 'by_epoch': False, 'T_max': FIRST}
BETAS = {'type': 'LinearMomentum', 'by_epoch': False, 'start_factor': 0.5, 'end': 3}
ADAM = {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0.1}
PARAMWISE = {'custom_keys': {'decode_head': {'lr_mult': 10.0}}}


class Run:
    """As much of MMEngine's Runner as steps, saves and restores a schedule."""

    def __init__(self, model: Any, schedulers: list[dict[str, Any]], optimizer: dict[str, Any], paramwise: Any) -> None:
        self.hooks, self.iter, self.epoch = [ParamSchedulerHook()], 0, 0
        self.optim_wrapper = build_optim_wrapper(model, {'optimizer': optimizer, 'paramwise_cfg': paramwise})
        built = [PARAM_SCHEDULERS.build({**item, 'optimizer': self.optim_wrapper}) for item in schedulers]
        self.param_schedulers = built or None

    def train(self, until: int) -> list[Any]:
        """Settings of the groups in each iteration."""
        seen = []
        while self.iter < until:
            groups = self.optim_wrapper.param_groups
            seen.append([(group['lr'], group['weight_decay'], group['betas']) for group in groups if 'betas' in group])
            self.hooks[0].after_train_iter(self, 0)
            self.iter += 1
        return seen

    def checkpoint(self) -> dict[str, Any]:
        states = [item.state_dict() for item in self.param_schedulers or []]
        return deepcopy({'optimizer': self.optim_wrapper.state_dict(), 'param_schedulers': states})

    def resume(self, checkpoint: dict[str, Any], iteration: int) -> list[str]:
        """`Runner.resume`, and after it what `ExactResumeHook` does."""
        schedule = ConfigSchedule(self)
        changes = schedule.differences(checkpoint)
        self.iter = iteration
        self.optim_wrapper.load_state_dict(deepcopy(checkpoint['optimizer']))
        for item, state in zip(self.param_schedulers or [], checkpoint['param_schedulers'], strict=False):
            item.load_state_dict(deepcopy(state))
        if changes:
            schedule.apply(self)
        return changes


@pytest.fixture(scope='module')
def model():
    return MODELS.build(toy.segmentor())


@pytest.mark.parametrize('paramwise', [None, PARAMWISE])
@pytest.mark.parametrize('done', [2, FIRST])
@pytest.mark.parametrize(
    ('before', 'after', 'optimizer'),
    [
        ([POLY], [LONG], ADAM),
        ([LONG], [{**POLY, 'end': 6}], ADAM),
        ([WARM, POLY], [WARM, LONG], ADAM),
        ([POLY], [{**WARM, 'end': 6}, {**LONG, 'begin': 2}], ADAM),
        ([WARM, POLY], [LONG], ADAM),
        ([STEPS], [{**STEPS, 'milestones': [5, 7]}], ADAM),
        ([POLY], [{**STEPS, 'milestones': [5, 7]}], ADAM),
        ([COSINE], [{**COSINE, 'T_max': ALL}], ADAM),
        ([BETAS, POLY], [{**BETAS, 'end': 6}, LONG], ADAM),
        ([], [LONG], ADAM),
        ([POLY], [], ADAM),
        ([LONG], [LONG], {**ADAM, 'lr': 5e-4}),
        ([LONG], [LONG], {**ADAM, 'weight_decay': 0.3}),
        ([], [], {**ADAM, 'lr': 5e-4}),
    ],
)
def test_settings_are_those_of_an_uninterrupted_run(model, before, after, optimizer, done, paramwise):
    first = Run(model, before, ADAM, paramwise)
    first.train(done)
    resumed = Run(model, after, optimizer, paramwise)
    assert resumed.resume(first.checkpoint(), done) != []
    assert resumed.train(ALL) == Run(model, after, optimizer, paramwise).train(ALL)[done:]


@pytest.mark.parametrize('schedule', [[WARM, LONG], [STEPS], [COSINE], [BETAS, LONG], []])
@pytest.mark.parametrize('paramwise', [None, PARAMWISE])
def test_an_unchanged_schedule_is_left_alone(model, schedule, paramwise):
    first = Run(model, schedule, ADAM, paramwise)
    first.train(3)
    resumed = Run(model, schedule, ADAM, paramwise)
    assert resumed.resume(first.checkpoint(), 3) == []
    assert resumed.train(ALL) == first.train(ALL)


def test_the_changes_are_named(model):
    first = Run(model, [WARM, POLY], ADAM, None)
    changes = Run(model, [WARM, LONG], {**ADAM, 'weight_decay': 0.3}, None).resume(first.checkpoint(), 0)
    assert 'param_scheduler.1.end 4 -> 8' in changes
    assert 'optimizer.weight_decay 0.1 -> 0.3' in changes


def test_what_followed_validations_cannot_be_repeated(model):
    plateau = {'type': 'ReduceOnPlateauLR', 'monitor': 'mIoU', 'rule': 'greater'}
    first, changed = (Run(model, [{**plateau, 'patience': patience}], ADAM, None) for patience in (5, 3))
    with pytest.raises(UserError, match='follows the validations before it: set load_from'):
        changed.resume(first.checkpoint(), 2)


# ---- through the checks and MMEngine's Runner ----------------------------------------------------


@HOOKS.register_module()
class RateRecorder(Hook):
    """The rate that each iteration is trained with."""

    def __init__(self) -> None:
        self.seen: dict[int, float] = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        self.seen[runner.iter] = runner.optim_wrapper.get_lr()['lr'][0]


def rates(config: Config) -> dict[int, float]:
    runner = runner_of(config)
    runner.train()
    (seen,) = [hook.seen for hook in runner.hooks if isinstance(hook, RateRecorder)]
    return seen


@pytest.mark.parametrize('hooked', [True, False])
def test_the_checks_advise_what_leads_to_training(tmp_path, hooked, monkeypatch):
    """A finished run, resumed as the warning says."""
    monkeypatch.setattr(runner_module, 'collect_env', dict)  # asks compilers for their version: slow
    write_pair(tmp_path)
    config = run_config(tmp_path, custom_hooks=[{'type': 'RateRecorder'}], param_scheduler=[WARM, POLY])
    config.merge_from_dict({'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None})
    config.merge_from_dict({'train_cfg.max_iters': FIRST, 'model.transition.total_iterations': FIRST})
    if hooked:
        config.default_hooks.exact_resume = {'type': 'ExactResumeHook'}
    rates(config)
    config.resume = True
    (advice,) = found(config)
    fields = 'train_cfg.max_iters, and with it param_scheduler.1.end and model.transition.total_iterations'
    assert advice.endswith(f'raise {fields}')
    config.merge_from_dict(dict.fromkeys(fields.replace(', and with it', '').replace(' and', '').split(), ALL))
    if hooked:
        assert found(config) == []
        expected = 1e-3 * (1 - 4 / 7)
        assert rates(config) == pytest.approx({4: expected, 5: expected * 2 / 3, 6: expected / 3, 7: 0}, abs=1e-12)
    else:
        (refused,) = found(config)
        assert refused.startswith(f'{config.work_dir}: its schedule of learning rates would replace that of the config')
        assert 'param_scheduler.1.end 4 -> 8' in refused
        assert "exact_resume=dict(type='ExactResumeHook')" in refused


def found(config: Config) -> list[str]:
    report = check_config(deepcopy(config.to_dict()), Options())
    return [problem.line for problem in report.problems]
