"""Scores that something waits for are those that validation gives; what other packages may give is not judged."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from dlc_mmseg.checks.evaluators import scores_of
from dlc_mmseg.checks.report import Report
from dlc_mmseg.checks.schedule import check_schedule
from dlc_mmseg.checks.validation_scores import check_validation_scores

CLASSES = ['road', 'tree']
IOU, CLASS_IOU, LABEL_FREE = ({'type': name} for name in ('IoUMetric', 'ClassIoUMetric', 'LabelFreeMetric'))
STOPS = 'training stops at the first validation'


class ScoresOfAnother(BaseMetric):
    """Of another package: what it gives is not known."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Nothing."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """One score."""
        return {'surprise': 1.0}


class RenamedIoU(IoUMetric):
    """Of another package, derived from a known one."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """The parent's under other names."""
        return {f'my_{key}': value for key, value in super().compute_metrics(results).items()}


class AddingHook(Hook):
    """Adds a score."""

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Add it."""
        assert metrics is not None
        metrics['surprise'] = 1.0


def config_of(evaluator: Any = None, hooks: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {
        'model': {'type': 'DLCSegmentor', 'segmentor': {'type': 'EncoderDecoder'}},
        'val_dataloader': {'dataset': {}},
        'val_cfg': {'type': 'ValLoop'},
        'val_evaluator': deepcopy(IOU if evaluator is None else evaluator),
        'default_hooks': hooks or {},
        **changes,
    }


def saving(best: Any, **settings: Any) -> dict[str, Any]:
    return {'checkpoint': {'type': 'CheckpointHook', 'interval': 1, 'save_best': best, **settings}}


def stopping(monitor: str, **settings: Any) -> dict[str, Any]:
    return {'early': {'type': 'EarlyStoppingHook', 'monitor': monitor, **settings}}


def found(config: dict[str, Any], classes: list[str] | None = CLASSES) -> list[str]:
    report = Report()
    check_validation_scores(config, classes, report)
    return [f'{problem.severity}: {problem.line}' for problem in report.problems]


@pytest.mark.parametrize(
    'metric',
    [
        IOU,
        {'type': 'mmseg.IoUMetric', 'iou_metrics': 'mDice', 'prefix': 'target'},
        {**IOU, 'iou_metrics': ['mIoU', 'mDice', 'mFscore'], 'prefix': ''},
        {**CLASS_IOU, 'iou_metrics': ['mIoU', 'mFscore']},
        LABEL_FREE,
        {**LABEL_FREE, 'prefix': 'own'},
        [{**CLASS_IOU, 'prefix': 'a'}, LABEL_FREE, IOU],
    ],
)
def test_the_names_are_those_of_an_evaluation(metric):
    metrics = metric if isinstance(metric, list) else [metric]
    evaluator = Evaluator([METRICS.build(deepcopy(part)) for part in metrics])
    evaluator.dataset_meta = {'classes': CLASSES}
    labels = torch.tensor([[[0, 1]]])
    sample = {'pred_sem_seg': {'data': labels}, 'gt_sem_seg': {'data': labels}, 'seg_logits': {'data': torch.eye(2)}}
    sample['seg_logits'] = {'data': torch.eye(2)[:, None]}
    evaluator.process([sample])
    scores = scores_of(config_of(metric), 'val', CLASSES, Report())
    assert scores is not None
    assert scores.names == list(evaluator.evaluate(1))
    assert not set(scores.names) & set(scores.measurable)


@pytest.mark.parametrize(
    ('evaluator', 'best', 'rule'),
    [
        (IOU, 'mIoU', None),
        (IOU, ['mIoU', 'aAcc'], 'greater'),
        (IOU, 'auto', None),
        ({'metrics': [IOU]}, 'mAcc', None),
        (CLASS_IOU, 'IoU.tree', 'greater'),
        ({**IOU, 'iou_metrics': ['mFscore']}, 'mFscore', 'greater'),
        ([LABEL_FREE, IOU], 'label_free/information', 'greater'),
        (LABEL_FREE, 'auto', 'greater'),
        ({**IOU, 'prefix': 'target'}, 'target/mIoU', None),
        (IOU, None, None),
    ],
)
def test_what_is_measured_may_be_waited_for(evaluator, best, rule):
    assert found(config_of(evaluator, saving(best, rule=rule))) == []
    if isinstance(best, str) and best != 'auto':
        assert found(config_of(evaluator, stopping(best, rule=rule, strict=True))) == []


@pytest.mark.parametrize(
    ('evaluator', 'best', 'remedy'),
    [
        (IOU, 'miou', {'save_best': 'mIoU'}),
        (IOU, 'mIou', {'save_best': 'mIoU'}),
        (IOU, 'mean_loss', {'save_best': 'mIoU'}),
        (IOU, ['mIoU', 'mAccuracy'], {'save_best': ['mIoU', 'mAcc']}),
        (IOU, 'top', {'save_best': 'mIoU'}),
        ({**IOU, 'prefix': 'target'}, 'mIoU', {'save_best': 'target/mIoU'}),
        (LABEL_FREE, 'mIoU', {'save_best': 'label_free/confidence', 'rule': 'greater'}),
        (LABEL_FREE, 'auto', {'save_best': 'label_free/confidence', 'rule': 'greater'}),
        ([LABEL_FREE, IOU], 'meanIoU', {'save_best': 'mIoU'}),
    ],
)
def test_a_score_that_no_metric_gives_is_an_error_whose_remedy_works(evaluator, best, remedy):
    (line,) = found(config_of(evaluator, saving(best)))
    assert line.startswith('error: default_hooks.checkpoint.save_best: ')
    assert STOPS in line
    last = remedy['save_best'][-1] if isinstance(best, list) else remedy['save_best']
    assert line.endswith(f"set it to '{last}'" + (" and rule to 'greater'" if 'rule' in remedy else ''))
    assert found(config_of(evaluator, saving(remedy['save_best'], rule=remedy.get('rule')))) == []


def test_a_score_that_can_be_asked_for_is_told_how():
    (line,) = found(config_of(CLASS_IOU, saving('mFscore', rule='greater')))
    assert line.endswith("add 'mFscore' to iou_metrics of val_evaluator")
    measured = {**CLASS_IOU, 'iou_metrics': ['mIoU', 'mFscore']}
    assert found(config_of(measured, saving('mFscore', rule='greater'))) == []
    (line,) = found(config_of(measured, saving('IoU.treee', rule='greater')))
    assert line.endswith("set it to 'IoU.tree'")


def test_a_rule_that_cannot_be_guessed_or_does_not_exist_is_an_error():
    measured = {**IOU, 'iou_metrics': ['mIoU', 'mFscore']}
    for hooks in (saving('mFscore'), saving(['mIoU', 'mFscore'], rule='more'), stopping('mFscore')):
        (line,) = found(config_of(measured, hooks))
        name = next(iter(hooks))
        assert line.startswith(f'error: default_hooks.{name}.rule: is ')
        assert "set it to 'greater'" in line
        assert found(config_of(measured, {name: {**hooks[name], 'rule': 'greater'}})) == []


@pytest.mark.parametrize(
    ('hooks', 'words'),
    [
        (saving(('mIoU', 'aAcc')), 'should be a str or list of str'),
        (saving(['mIoU', 'mIoU']), 'duplicate element'),
        (saving(['mIoU', 'aAcc', 'mAcc'], rule=['greater', 'less']), 'does not tell whether'),
        (saving('mIoU', save_begin=-1), 'save_begin'),
        (saving(5), 'should be a str or list of str'),
        (stopping('mIoU', patiance=3), 'patiance'),
    ],
)
def test_hooks_that_do_not_build_are_reported(hooks, words):
    lines = found(config_of(IOU, hooks))
    assert any(line.startswith('error: default_hooks.') and words in line for line in lines)


def test_taking_less_for_better_is_a_warning():
    (line,) = found(config_of(IOU, saving('mIoU', rule='less')))
    assert line.startswith("warning: default_hooks.checkpoint.rule: 'less' takes a lower mIoU for the better one")


def test_early_stopping_and_schedules_wait_too():
    (line,) = found(config_of(IOU, stopping('mIoUs')))
    assert line.startswith("warning: default_hooks.early.monitor: 'mIoUs' is no score")
    assert line.endswith("it has no effect: set it to 'mIoU'")
    (line,) = found(config_of(IOU, stopping('mIoUs', strict=True)))
    assert line.startswith('error')
    assert STOPS in line
    plateau = {'type': 'ReduceOnPlateauParamScheduler', 'param_name': 'lr'}
    (line,) = found(config_of(IOU, param_scheduler=[plateau]))
    assert line.startswith("error: param_scheduler.0.monitor: 'loss' is no score")
    assert line.endswith("set it to 'mIoU' and rule to 'greater'")
    assert found(config_of(IOU, param_scheduler=[{**plateau, 'monitor': 'mIoU', 'rule': 'greater'}])) == []


def test_without_validation_nothing_is_measured():
    nothing = dict.fromkeys(('val_dataloader', 'val_cfg', 'val_evaluator'))
    for hooks, remedy in ((saving('mIoU'), 'set it to None'), (stopping('mIoU'), 'remove this hook')):
        (line,) = found(config_of(hooks=hooks, **nothing))
        assert line.startswith('warning')
        assert f"'mIoU' is never measured, there is no val_dataloader: {remedy}, or add validation" in line
    maps = {**IOU, 'format_only': True, 'output_dir': 'maps'}
    (line,) = found(config_of(maps, saving('mIoU')))  # MMEngine then chooses none
    assert line.startswith('warning')
    assert 'gives none: it has no effect' in line


@pytest.mark.parametrize('part', ['val', 'test'])
def test_metrics_that_stop_at_the_end_are_reported(part):
    severity = 'error' if part == 'val' else 'warning'
    for metric, words in (
        ({**IOU, 'iou_metrics': ['mIoU', 'mRecall']}, "iou_metrics: 'mRecall' is none that IoUMetric knows"),
        ([IOU, CLASS_IOU], "two metrics give 'aAcc'"),
    ):
        (line,) = found(config_of(**{f'{part}_evaluator': metric}) if part == 'test' else config_of(metric))
        assert line.startswith(f'{severity}: {part}_evaluator')
        assert words in line
    assert found(config_of([IOU, {**CLASS_IOU, 'prefix': 'second'}])) == []


@pytest.mark.parametrize(
    'changes',
    [
        {'evaluator': {'type': ScoresOfAnother}},
        {'evaluator': [IOU, {'type': ScoresOfAnother}]},
        {'evaluator': {'type': RenamedIoU}},
        {'evaluator': {'type': 'NotImportedHere'}},
        {'custom_hooks': [{'type': AddingHook}]},
        {'val_cfg': {'type': 'LoopOfAnother'}},
        {'model': {'type': 'SegmentorOfAnother'}},
        {'model': {'type': 'DLCSegmentor', 'segmentor': {'type': 'SegmentorOfAnother'}}},
    ],
    ids=str,
)
def test_what_another_package_may_give_is_not_refused(changes):
    assert found(config_of(hooks=saving('surprise', rule='greater'), **changes)) == []


def test_scores_of_classes_need_their_names():
    assert found(config_of(CLASS_IOU, saving('IoU.tree', rule='greater')), classes=None) == []
    (line,) = found(config_of(CLASS_IOU, saving('IoU.car', rule='greater')))
    assert re.search(r'which gives aAcc, mIoU, mAcc, IoU\.road, IoU\.tree: ', line)


def test_arguments_that_checkpoint_hooks_do_not_have_are_errors():
    """MMEngine hands them to `Runner.save_checkpoint`, which refuses them at the first checkpoint."""
    report = Report()
    check_schedule(config_of(hooks=saving('mIoU', max_keep_ckpt=2, priority='LOW')), report)
    (problem,) = [problem for problem in report.errors if problem.where.startswith('default_hooks')]
    assert problem.line.startswith('default_hooks.checkpoint.max_keep_ckpt: is no argument of CheckpointHook')
    assert problem.remedy == 'max_keep_ckpts may be meant'
