"""Runs killed with SIGKILL and resumed end in the very same weights as one that was not."""

from __future__ import annotations

import builtins
import io
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from adaptation_run import ITERATIONS, differing, forked, runner_of, write_domains
from mmengine.hooks import CheckpointHook
from mmengine.runner import runner as runner_module
from mmseg.registry import HOOKS

from dlc_mmseg.datasets import PairedDomainSampler
from dlc_mmseg.models import DLCSegmentor


def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def die_within_an_iteration():
    """Four iterations in, after the network's gradients and before T and the weights move."""
    update = DLCSegmentor.update_transition

    def deadly(self, *args):
        return die() if int(self.iteration) == 6 else update(self, *args)

    DLCSegmentor.update_transition = deadly


def die_while_writing():
    """Half-way through writing iter_4.pth again, which last_checkpoint names already."""
    opened, times = builtins.open, []

    def deadly(path, mode='r', *args, **kwargs):
        file = opened(path, mode, *args, **kwargs)
        if 'b' in mode and ('w' in mode or 'x' in mode) and 'iter_4.pth' in str(path) and 'best' not in str(path):
            times.append(path)
            if len(times) == 2:
                return HalfWritten(file)
        return file

    builtins.open = io.open = deadly  # pathlib calls the latter


class HalfWritten:
    """A file whose writer dies."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        self.file.write(bytes(content)[: len(content) // 2])
        self.file.flush()
        die()


def die_in_validation():
    DLCSegmentor.val_step = die


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return write_domains(tmp_path_factory.mktemp('domains'))


@pytest.fixture(autouse=True)
def _fast(monkeypatch):
    monkeypatch.setattr(runner_module, 'collect_env', dict)  # asks compilers for their version: slow


@pytest.fixture(scope='module')
def whole(folder, tmp_path_factory):
    """Last checkpoint of a run without interruption; it validates at other times, and draws pictures."""
    work_dir = tmp_path_factory.mktemp('whole')
    pictures = [{'type': name, 'interval': 5} for name in ('PseudoLabelHook', 'TransitionMatrixHook')]
    assert forked(lambda: runner_of(folder, work_dir, val_interval=3, hooks=pictures).train()) == [0]
    return last(work_dir)


def last(work_dir):
    return torch.load(work_dir / f'iter_{ITERATIONS}.pth', weights_only=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('death', 'workers'), [(die_within_an_iteration, 1), (die_while_writing, 0), (die_in_validation, 1)]
)
def test_killed_and_resumed(folder, whole, tmp_path, death, workers):
    def killed():
        death()
        runner_of(folder, tmp_path, workers=workers).train()

    assert forked(killed) == [-signal.SIGKILL]
    assert not (tmp_path / f'iter_{ITERATIONS}.pth').exists()
    assert forked(lambda: runner_of(folder, tmp_path, workers=workers, resume=True).train()) == [0]
    resumed = last(tmp_path)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert differing(resumed[part], whole[part], part) == []
    assert not list(tmp_path.glob('.*.part'))


@pytest.mark.slow
def test_a_run_without_seed_goes_on_with_its_own(folder, tmp_path):
    assert forked(lambda: runner_of(folder, tmp_path / 'cut', iterations=4, seed=None).train()) == [0]
    seed = torch.load(tmp_path / 'cut' / 'iter_4.pth', weights_only=False)['meta']['seed']
    assert forked(lambda: runner_of(folder, tmp_path / 'cut', seed=None, resume=True).train()) == [0]
    assert forked(lambda: runner_of(folder, tmp_path / 'whole', seed=seed).train()) == [0]
    resumed, whole = last(tmp_path / 'cut'), last(tmp_path / 'whole')
    assert differing(resumed['state_dict'], whole['state_dict']) == []


# ---- the hook alone ------------------------------------------------------------------------------


class Recorder:
    """A runner's logger that remembers."""

    def __init__(self):
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    def log(self, _level, line):
        self.lines.append(line)


def fake_runner(*hooks, **changes):
    attributes = {
        'hooks': hooks, 'logger': Recorder(), '_resume': False, '_load_from': None, 'seed': 5, 'rank': 0, 'iter': 0,
        'train_dataloader': SimpleNamespace(sampler=PairedDomainSampler([0] * 3, seed=1)),
        'optim_wrapper': SimpleNamespace(_accumulative_counts=1),
    }  # fmt: skip
    return SimpleNamespace(**{**attributes, **changes})


def hook():
    return HOOKS.build({'type': 'ExactResumeHook'})


def test_the_sampler_gets_the_seed_of_the_run():
    runner = fake_runner()
    hook().before_train(runner)
    assert runner.train_dataloader.sampler.seed == 5
    other = fake_runner(train_dataloader=SimpleNamespace(sampler=None))
    hook().before_train(other)


def test_every_iteration_draws_anew_and_the_same_again():
    ours, runner = hook(), fake_runner()
    ours.before_train(runner)
    draws = []
    for runner.iter in (3, 4, 3):
        torch.rand(7)
        ours.before_train_iter(runner, runner.iter)
        draws.append(torch.rand(4).tolist())
    assert draws[0] == draws[2] != draws[1]


@pytest.mark.parametrize(('kept', 'expected'), [(1, 2), (3, 3), (-1, -1)])
def test_one_checkpoint_stays_while_the_next_is_written(kept, expected):
    checkpoints = CheckpointHook(by_epoch=False, interval=2, max_keep_ckpts=kept)
    runner = fake_runner(checkpoints)
    hook().before_run(runner)
    assert checkpoints.max_keep_ckpts == expected
    assert bool(runner.logger.lines) == (kept == 1)


@pytest.mark.parametrize(('interval', 'warns'), [(4, False), (3, True), (-1, False)])
def test_checkpoints_between_accumulated_gradients_are_reported(interval, warns):
    runner = fake_runner(
        CheckpointHook(by_epoch=False, interval=interval), optim_wrapper=SimpleNamespace(_accumulative_counts=2)
    )
    hook().before_train(runner)
    assert bool(runner.logger.lines) == warns


def test_only_an_automatic_resume_looks_for_checkpoints(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('')
    toy_checkpoint = tmp_path / 'iter_3.pth'
    torch.save({'meta': {}}, toy_checkpoint)
    record = tmp_path / 'last_checkpoint'
    for resume, load_from in ((False, None), (True, 'x.pth')):
        hook().before_run(fake_runner(work_dir=str(tmp_path), _resume=resume, _load_from=load_from))
        assert record.read_text() == ''
    hook().before_run(fake_runner(work_dir=str(tmp_path), _resume=True))
    assert record.read_text() == str(toy_checkpoint)
