"""The student's optimizer treats every parameter as MMEngine's own would, and says nothing of the teacher's."""

from __future__ import annotations

import logging

import pytest
import torch
import toy
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmseg.engine.optimizers import LearningRateDecayOptimizerConstructor
from mmseg.registry import MODELS
from test_configs import BUILT, reduced

CONSTRUCTOR = 'StudentOptimWrapperConstructor'
SETTINGS = ('lr', 'initial_lr', 'weight_decay', 'betas', 'eps')
PARAMWISE = {
    'custom_keys': {
        'head': {'lr_mult': 10.0},
        'norm': {'decay_mult': 0.0},
        'pos_block': {'decay_mult': 0.0},
        'student.backbone.first': {'lr_mult': 0.3},
        'backbone.second': {'lr_mult': 0.7},
        'student.backbone.second.1': {'decay_mult': 0.5},
    },
    'norm_decay_mult': 0.0,
    'bias_lr_mult': 2.0,
}


def groups(model, config, constructor):
    """Settings of each parameter, by name."""
    config = dict(config)
    config.pop('constructor', None)
    if constructor:
        config['constructor'] = constructor
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    wrapper = build_optim_wrapper(model, config)
    return {
        names[id(parameter)]: {key: group.get(key) for key in SETTINGS}
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }


def trained(settings, model):
    """Without those of frozen parameters, which MMEngine includes where nothing is set by name."""
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    return {name: values for name, values in settings.items() if name in learns}


@pytest.mark.parametrize('path', BUILT)
def test_every_parameter_of_every_config_is_set_as_before(path):
    config = Config.fromfile(path)
    model = MODELS.build(reduced(config))
    assert config.optim_wrapper.constructor == CONSTRUCTOR
    ours, theirs = (groups(model, config.optim_wrapper, constructor) for constructor in (CONSTRUCTOR, None))
    assert ours == trained(theirs, model)
    assert all(name.startswith('student.') for name in ours)
    assert len(ours) == len(list(model.student.parameters()))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return MODELS.build(toy.dlc())


OPTIMIZER = {'optimizer': {'type': 'AdamW', 'lr': 0.01, 'weight_decay': 0.1}, 'paramwise_cfg': PARAMWISE}


def test_custom_keys_match_the_same_names(model):
    ours, theirs = groups(model, OPTIMIZER, CONSTRUCTOR), groups(model, OPTIMIZER, None)
    assert ours == theirs
    assert ours['student.backbone.first.0.weight']['lr'] == pytest.approx(0.003)
    assert ours['student.backbone.second.0.weight']['lr'] == pytest.approx(0.007)
    assert len({tuple(values.values()) for values in ours.values()}) > 3


def test_no_word_about_the_teacher(model, monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger, 'handle', lambda _self, record: lines.append(record))
    for constructor in (CONSTRUCTOR, None):
        lines.clear()
        groups(model, OPTIMIZER, constructor)
        warned = [record for record in lines if record.levelno >= logging.WARNING]
        assert bool(warned) == (constructor is None)


class Wrapped(MMDistributedDataParallel):
    """A distributed wrapper without a process group."""

    def __init__(self, module):
        torch.nn.Module.__init__(self)
        self.module = module


def test_a_distributed_wrapper_is_opened(model):
    config = {**OPTIMIZER, 'constructor': CONSTRUCTOR}
    wrapped = build_optim_wrapper(Wrapped(model), config).optimizer.param_groups
    alone = build_optim_wrapper(model, config).optimizer.param_groups
    assert [group['params'][0] is other['params'][0] for group, other in zip(wrapped, alone, strict=True)]
    assert len(wrapped) == len(list(model.student.parameters()))


def test_models_without_a_student_are_taken_whole():
    plain = MODELS.build(toy.segmentor())
    assert groups(plain, OPTIMIZER, CONSTRUCTOR) == groups(plain, OPTIMIZER, None)


def test_what_learns_beside_the_student_learns(model):
    model.extra = torch.nn.Linear(2, 2)
    ours = groups(model, OPTIMIZER, CONSTRUCTOR)
    assert ours == groups(model, OPTIMIZER, None)
    assert {'extra.weight', 'extra.bias', 'student.backbone.first.0.weight'} <= set(ours)


BEIT = {
    'type': 'BEiT',
    'img_size': (16, 16),
    'patch_size': 4,
    'embed_dims': 16,
    'num_layers': 2,
    'num_heads': 2,
    'mlp_ratio': 2,
    'out_indices': (0, 1),
    'init_values': 0.1,
}
LAYERS = {'num_layers': 2, 'decay_rate': 0.5, 'decay_type': 'layer_wise'}


@pytest.mark.parametrize(
    ('inner', 'settings'),
    [
        ('LearningRateDecayOptimizerConstructor', LAYERS),
        ('LayerDecayOptimizerConstructor', {'num_layers': 2, 'layer_decay_rate': 0.5}),
        (LearningRateDecayOptimizerConstructor, LAYERS),
    ],
)
def test_layer_wise_rates_reach_the_layers_of_the_student(inner, settings):
    """As MMSegmentation sets them for the segmentor alone."""
    config = toy.dlc()
    config['segmentor']['backbone'] = BEIT
    config['segmentor']['decode_head'].in_channels = 16
    model = MODELS.build(config)
    wrapper = {'optimizer': {'type': 'AdamW', 'lr': 1e-3, 'weight_decay': 0.1}}
    ours = groups(model, {**wrapper, 'paramwise_cfg': {'constructor': inner, **settings}}, CONSTRUCTOR)
    plain = groups(model.student, {**wrapper, 'paramwise_cfg': settings}, inner)
    assert ours == {f'student.{name}': values for name, values in plain.items()}
    assert len({values['lr'] for values in ours.values()}) == 4  # embedding, two layers, head
    assert ours['student.backbone.layers.0.attn.qkv.weight']['lr'] == pytest.approx(2.5e-4)


def test_another_constructor_is_not_given_half_a_model(model):
    model.extra = torch.nn.Linear(2, 2)
    settings = {'constructor': 'DefaultOptimWrapperConstructor', 'bias_lr_mult': 2.0}
    try:
        with pytest.raises(ValueError, match='beside the student'):
            groups(model, {'optimizer': {'type': 'SGD', 'lr': 0.1}, 'paramwise_cfg': settings}, CONSTRUCTOR)
    finally:
        del model.extra
