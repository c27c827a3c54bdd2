"""Settings of the optimizer by layer that reach nothing, which MMEngine passes over in silence."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import toy
from mmengine.logging import MMLogger
from mmseg.registry import MODELS
from tiny_run import ITERATIONS

from dlc_mmseg.checks.optimizer import check_optimizer
from dlc_mmseg.checks.report import Report

OURS = 'StudentOptimWrapperConstructor'
BEIT = {
    **dict.fromkeys(('num_layers', 'num_heads', 'mlp_ratio'), 2),
    'type': 'BEiT',
    'img_size': (16, 16),
    'patch_size': 4,
    'embed_dims': 16,
    'out_indices': (0, 1),
    'init_values': 0.1,
}
LAYERS = {'num_layers': 2, 'decay_rate': 0.5, 'decay_type': 'layer_wise'}


def found(paramwise: dict[str, Any], model: Any = None, constructor: str | None = None, **optimizer: Any) -> list[str]:
    wrapper = {'optimizer': {'type': 'AdamW', 'lr': 1e-3, **optimizer}, 'paramwise_cfg': paramwise}
    config = {
        'model': {'segmentor': {}},
        'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': ITERATIONS},
        'optim_wrapper': {**wrapper, **({'constructor': constructor} if constructor else {})},
    }
    report = Report()
    check_optimizer(config, model or MODELS.build(toy.dlc()), report)
    return [f'{problem.severity}: {problem.line}' for problem in report.problems]


@pytest.mark.parametrize('constructor', [None, OURS])
@pytest.mark.parametrize(
    ('key', 'remedy'),
    [
        ('bakbone', 'backbone may be meant'),
        ('^backbone', 'backbone may be meant'),
        ('decode_heads', 'decode_head may be meant'),
        ('absolute_pos_embed', 'give a part of their names, such as student.'),
    ],
)
def test_a_key_in_no_name_is_told(key, remedy, constructor):
    (line,) = found({'custom_keys': {key: {'lr_mult': 0.1}}}, constructor=constructor)
    assert line.startswith(f'warning: optim_wrapper.paramwise_cfg.custom_keys.{key}: is in the name of no parameter')
    assert remedy in line


def test_keys_for_other_networks_may_stand_beside_those_of_this_one():
    keys = {'decode_head': {'lr_mult': 10.0}, 'neck': {'lr_mult': 10.0}, 'absolute_pos_embed': {'lr_mult': 1.0}}
    assert found({'custom_keys': keys}) == []
    keys['decode_hed'] = {'lr_mult': 2.0}
    (line,) = found({'custom_keys': keys})
    assert 'decode_hed' in line


def test_a_multiplier_that_the_constructor_does_not_know_is_told():
    (line,) = found({'norm_decay_multi': 0.0, 'bias_lr_mult': 2.0})
    assert (
        line
        == 'warning: optim_wrapper.paramwise_cfg.norm_decay_multi: is read by nothing: norm_decay_mult may be meant'
    )


def test_layer_decay_without_weight_decay():
    """MMSegmentation hands on None; the optimizer fails at its first step."""
    config = toy.dlc()
    config['segmentor']['backbone'] = BEIT
    config['segmentor']['decode_head']['in_channels'] = 16
    model = MODELS.build(config)
    paramwise = {'constructor': 'LearningRateDecayOptimizerConstructor', **LAYERS}
    (line,) = found(paramwise, model, OURS)
    assert line.startswith('error: optim_wrapper.optimizer.weight_decay: is missing')
    assert found(paramwise, model, OURS, weight_decay=0.01) == []


def test_loggers_speak_again_afterwards():
    """Inside, the constructor warns of the teacher's parameters, which occur twice."""
    logger = MMLogger.get_current_instance()
    assert found({'custom_keys': {'backbone': {'lr_mult': 0.1}}}) == []
    assert all(logger.isEnabledFor(level) for level in (logging.WARNING, logging.ERROR))
