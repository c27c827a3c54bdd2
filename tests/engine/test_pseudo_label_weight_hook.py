"""The warning that pseudo-labels weigh nothing, and when it stays away."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
import toy
from mmseg.registry import HOOKS, MODELS


class Logger:
    """Remembers warnings."""

    def __init__(self):
        self.lines = []

    def warning(self, line):
        self.lines.append(line)


def told(weights, patience=3):
    """Warnings after iterations with the given pseudo-label weights; None logs none."""
    hook = HOOKS.build({'type': 'PseudoLabelWeightHook', 'patience': patience})
    runner = SimpleNamespace(model=MODELS.build(toy.dlc()), logger=Logger())
    for number, weight in enumerate(weights):
        outputs = {} if weight is None else {'target.pseudo_weight': torch.tensor(weight)}
        hook.after_train_iter(runner, number, None, outputs)
    return runner.logger.lines


def test_warns_once_and_names_the_remedy():
    (line,) = told([0.0] * 10)
    assert 'weight 0 for 3 iterations' in line
    assert 'model.pseudo_label_threshold=0.34' in line


@pytest.mark.parametrize('weights', [[0.0, 0.0, 0.1] * 3, [None] * 9, [1e-6] * 9, [0.0, 0.0]])
def test_stays_silent(weights):
    assert told(weights) == []


def test_a_new_stretch_without_weight_is_a_new_warning():
    assert len(told([0.0] * 4 + [0.5] + [0.0] * 4)) == 2


def test_the_model_logs_what_the_hook_reads():
    torch.manual_seed(0)
    hook = HOOKS.build({'type': 'PseudoLabelWeightHook', 'patience': 2})
    model = MODELS.build(toy.dlc(pseudo_label_threshold=1.0)).train()
    runner = SimpleNamespace(model=model, logger=Logger())
    wrapper = toy.optim_wrapper(model)
    for number in range(2):
        hook.after_train_iter(runner, number, None, model.train_step(toy.paired_batch(number), wrapper))
    assert len(runner.logger.lines) == 1
    hook.after_train_iter(runner, 2, None, None)


def test_patience_must_be_positive():
    with pytest.raises(ValueError, match='patience'):
        HOOKS.build({'type': 'PseudoLabelWeightHook', 'patience': 0})
