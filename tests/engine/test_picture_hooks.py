"""Pseudo-label pictures come when due and leave the training alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from mmseg.registry import HOOKS, MODELS

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


def test_another_model_is_refused():
    hook = HOOKS.build({'type': 'PseudoLabelHook', 'interval': 1})
    with pytest.raises(TypeError, match='PseudoLabelHook needs a DLCSegmentor'):
        hook.after_train_iter(runner_of(torch.nn.Identity()), 0, toy.paired_batch())


@pytest.mark.parametrize('name', ['PseudoLabelHook', 'TransitionMatrixHook'])
def test_interval_must_be_positive(name):
    with pytest.raises(ValueError, match='interval'):
        HOOKS.build({'type': name, 'interval': 0})
