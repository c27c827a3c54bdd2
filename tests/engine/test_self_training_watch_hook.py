"""The watch over self-training: shares counted by hand, one warning, and no trace in the training."""

from __future__ import annotations

import pytest
import torch
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.engine import self_training_watch_hook
from dlc_mmseg.engine.self_training_watch_hook import SelfTrainingWatchHook

WATCH = {'type': 'SelfTrainingWatchHook', 'interval': 1, 'num_images': 3}


@pytest.fixture
def runner(tmp_path):
    write_pair(tmp_path)
    return runner_of(run_config(tmp_path, custom_hooks=[WATCH], log_level='INFO'))


def said(monkeypatch, runner, predictions):
    """What the hook says when the crops get these labels and confidences, one list for each time."""
    hook = SelfTrainingWatchHook(interval=1, num_images=1)
    hook.before_train(runner)
    lines, scalars = [], []
    monkeypatch.setattr(runner.logger, 'info', lines.append)
    monkeypatch.setattr(runner.logger, 'warning', lines.append)
    monkeypatch.setattr(runner.visualizer, 'add_scalars', lambda values, step: scalars.append(values))
    for labels, confidence in predictions:
        monkeypatch.setattr(
            self_training_watch_hook,
            'label_crop',
            lambda crop, model, given=(labels, confidence): tuple(map(torch.tensor, given)),
        )
        hook.after_train_iter(runner, 0)
    return lines, scalars


def test_shares_are_those_counted_by_hand(monkeypatch, runner):
    first = [[0, 0, 1, 2]], [[0.9, 0.1, 0.9, 0.1]]
    second = [[0, 1, 1, 1]], [[0.1, 0.1, 0.1, 0.1]]
    lines, scalars = said(monkeypatch, runner, [first, second])
    assert 'predicted ground 50%, roof 25%, car 25%; 50% of pixels are sure, ground 50%, roof 50%, car 0%' in lines[0]
    assert '100% as when first watched' in lines[0]
    assert 'mean diagonal of T' in lines[0]
    assert '0% of pixels are sure; 50% as when first watched' in lines[1]
    assert scalars[0]['watch.sure_share.roof'] == 0.5
    assert scalars[1]['watch.share.roof'] == 0.75
    assert scalars[1]['watch.kept'] == 0.5


def test_warns_once_when_the_sure_pixels_are_of_one_class_and_the_predictions_are_not(monkeypatch, runner):
    narrow = [[0, 0, 1, 2]], [[0.9, 0.9, 0.1, 0.1]]
    lines, _ = said(monkeypatch, runner, [narrow, narrow])
    (warning,) = [line for line in lines if 'may forget' in line]
    assert '100% of the sure pseudo-labels are ground, which makes up 50% of the predictions' in warning


def test_the_source_only_model_is_the_teacher_at_the_end_of_the_warm_up(monkeypatch, runner):
    model = runner.model
    model.warmup_iterations = 2
    hook = SelfTrainingWatchHook(interval=3, num_images=1)
    hook.before_train(runner)
    lines, scalars = [], []
    monkeypatch.setattr(runner.logger, 'info', lines.append)
    monkeypatch.setattr(runner.logger, 'warning', lines.append)
    monkeypatch.setattr(runner.visualizer, 'add_scalars', lambda values, step: scalars.append(values))
    labels = {1: [0, 0, 0, 0], 2: [0, 0, 1, 2], 3: [0, 1, 1, 1], 6: [0, 0, 0, 2]}
    for iteration in range(1, 7):
        model.iteration.fill_(iteration)
        own = torch.tensor([labels.get(iteration, [2, 2, 2, 2])])
        sure = torch.tensor([[0.9, 0.9, 0.9, 0.1]])
        monkeypatch.setattr(self_training_watch_hook, 'label_crop', lambda crop, model, own=own, sure=sure: (own, sure))
        monkeypatch.setattr(type(runner), 'iter', property(lambda self, number=iteration: number - 1))
        hook.after_train_iter(runner, 0)
    reports = [line for line in lines if line.startswith('self-training')]
    assert '50% other than the source-only model says' in reports[0]
    assert '25% other than the source-only model says' in reports[1]
    assert [values['watch.changed'] for values in scalars] == [0.5, 0.25]


def test_nothing_is_warned_of_before_the_warm_up_ends(monkeypatch, runner):
    narrow = [[0, 0, 1, 2]], [[0.9, 0.9, 0.1, 0.1]]
    runner.model.warmup_iterations = 3
    runner.model.iteration.fill_(2)
    assert not [line for line in said(monkeypatch, runner, [narrow])[0] if 'may forget' in line]
    runner.model.iteration.fill_(3)
    assert [line for line in said(monkeypatch, runner, [narrow])[0] if 'may forget' in line]


def test_the_warning_says_what_became_of_the_source_only_model(monkeypatch, runner):
    narrow = torch.tensor([[0, 0, 1, 2]]), torch.tensor([[0.9, 0.9, 0.1, 0.1]])
    hook = SelfTrainingWatchHook(interval=1, num_images=1)
    hook.before_train(runner)
    hook._source_only = torch.tensor([0, 1, 1, 2], dtype=torch.uint8)
    lines = []
    monkeypatch.setattr(runner.logger, 'warning', lines.append)
    monkeypatch.setattr(self_training_watch_hook, 'label_crop', lambda crop, model: narrow)
    hook.after_train_iter(runner, 0)
    assert 'It has changed 25% of what the source-only model says.' in lines[0]


def test_a_start_from_a_checkpoint_without_warm_up_is_the_source_only_model(tmp_path):
    write_pair(tmp_path)
    first = runner_of(run_config(tmp_path, work_dir=str(tmp_path / 'first')))
    first.train()
    config = run_config(tmp_path, work_dir=str(tmp_path / 'second'), custom_hooks=[WATCH])
    config.load_from = str(tmp_path / 'first/iter_2.pth')
    second = runner_of(config)
    hook = next(hook for hook in second.hooks if isinstance(hook, SelfTrainingWatchHook))
    second.call_hook('before_run')
    second.load_or_resume()
    hook.before_train(second)
    assert torch.equal(hook._source_only, torch.cat(hook._labelled(second.model)[0]).byte())
    assert hook._first is None  # what that run first saw is its own


def test_a_resumed_run_compares_with_what_the_interrupted_one_saw(monkeypatch, tmp_path):
    write_pair(tmp_path)
    said = []

    def watched(iterations, **changes):
        config = run_config(tmp_path, custom_hooks=[WATCH], log_level='INFO', **changes)
        config.model.warmup_iterations = 1
        config.train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': iterations, 'val_interval': 100}
        runner = runner_of(config)
        lines = []
        monkeypatch.setattr(runner.visualizer, 'add_scalars', lambda values, step, **_: lines.append((step, values)))
        runner.train()
        said.append([values for step, values in lines if step == 4 and 'watch.changed' in values])
        return next(hook for hook in runner.hooks if isinstance(hook, SelfTrainingWatchHook))

    whole = watched(4, work_dir=str(tmp_path / 'whole'))
    watched(2, work_dir=str(tmp_path / 'part'))
    resumed = watched(4, work_dir=str(tmp_path / 'part'), resume=True)
    assert torch.equal(whole._first, resumed._first)
    assert torch.equal(whole._source_only, resumed._source_only)
    assert said[0] == said[2] != []


def test_other_crops_than_those_of_the_checkpoint_are_not_compared(runner):
    hook = SelfTrainingWatchHook(interval=1, num_images=1)
    hook._first = hook._source_only = torch.zeros(3, dtype=torch.uint8)
    hook.before_train(runner)
    assert hook._first is None
    assert hook._source_only is None


def test_stays_silent_where_the_target_is_of_one_class(monkeypatch, runner):
    background = [[0, 0, 0, 0, 0, 1]], [[0.9, 0.9, 0.9, 0.9, 0.9, 0.1]]
    lines, _ = said(monkeypatch, runner, [background])
    assert not [line for line in lines if 'may forget' in line]


def test_watching_changes_nothing_in_the_training(tmp_path):
    write_pair(tmp_path)
    states = []
    for hooks in ([], [WATCH]):
        runner = runner_of(run_config(tmp_path, custom_hooks=hooks))
        runner.train()
        states.append(runner.model.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_a_source_only_run_is_left_alone(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path, custom_hooks=[WATCH])
    for part in ('class_mix', 'masked_consistency', 'transition', 'volume_loss', 'convexity_loss'):
        config.model[part] = None
    config.model.teacher_batch_statistics = False
    runner = runner_of(config)
    hook = next(hook for hook in runner.hooks if isinstance(hook, SelfTrainingWatchHook))
    hook.before_train(runner)
    assert hook._crops == []


@pytest.mark.parametrize('arguments', [{'interval': 0}, {'num_images': 0}, {'size': 0}, {'excess': 1.0}])
def test_arguments_are_checked(arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f'{name} is'):
        SelfTrainingWatchHook(**arguments)
