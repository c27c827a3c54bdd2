"""Pseudo-label pictures come when due and leave the training alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from mmseg.registry import HOOKS, MODELS

from dlc_mmseg.engine import pseudo_label_hook

META = {'classes': ('ground', 'roof', 'car'), 'palette': [[0, 0, 0], [255, 0, 0], [0, 0, 255]]}


class Visualizer:
    """Remembers what it was given."""

    def __init__(self):
        self.images = []

    def add_image(self, name, image, step):
        self.images.append((name, image, step))


def runner_of(model, iteration=0):
    dataset = SimpleNamespace(metainfo=META)
    return SimpleNamespace(
        model=model, iter=iteration, visualizer=Visualizer(), train_dataloader=SimpleNamespace(dataset=dataset)
    )


def built(**changes):
    torch.manual_seed(0)
    return MODELS.build(toy.dlc(**changes)).train()


def test_draws_on_its_interval():
    hook = HOOKS.build({'type': 'PseudoLabelHook', 'interval': 3})
    runner = runner_of(built())
    steps = []
    for runner.iter in range(7):
        hook.after_train_iter(runner, runner.iter, toy.paired_batch())
    for name, image, step in runner.visualizer.images:
        assert name == 'pseudo_labels'
        assert image.dtype == np.uint8
        steps.append(step)
    assert steps == [3, 6]


@pytest.mark.parametrize('batch_statistics', [False, True])
def test_training_does_not_notice(batch_statistics):
    model = built(teacher_batch_statistics=batch_statistics)
    hook = HOOKS.build({'type': 'PseudoLabelHook', 'interval': 1})
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    hook.after_train_iter(runner_of(model), 0, toy.paired_batch())
    assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    assert model.teacher_batch_statistics == batch_statistics
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[name]), name


def test_a_model_without_a_teacher_is_left_alone():
    """The shared runtime has the hook, and plain segmentors train on it too."""
    hook = HOOKS.build({'type': 'PseudoLabelHook', 'interval': 1})
    runner = runner_of(MODELS.build(toy.segmentor()))
    hook.after_train_iter(runner, 0, toy.domain_batch(labelled=True))
    assert runner.visualizer.images == []


def test_what_the_preprocessor_pads_at_test_time_is_not_drawn(monkeypatch):
    panels = {}
    monkeypatch.setattr(pseudo_label_hook, 'side_by_side', lambda shown, _: panels.update(shown))
    preprocessor = {**toy.preprocessor(), 'test_cfg': {'size_divisor': 32}}
    hook = HOOKS.build({'type': 'PseudoLabelHook', 'interval': 1})
    hook.after_train_iter(runner_of(built(data_preprocessor=preprocessor)), 0, toy.paired_batch())
    assert [image.shape for image in panels.values()] == [(16, 24, 3)] * 3


@pytest.mark.parametrize('name', ['PseudoLabelHook', 'TransitionMatrixHook'])
def test_interval_must_be_positive(name):
    with pytest.raises(ValueError, match='interval'):
        HOOKS.build({'type': name, 'interval': 0})
