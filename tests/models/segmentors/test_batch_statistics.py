"""What enters running statistics: frozen norms, and gradient checkpointing."""

from __future__ import annotations

import copy

import pytest
import torch
import toy
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dlc_mmseg.errors import UserError
from dlc_mmseg.models.segmentors.batch_statistics import running_statistics


def build(backbone, **changes):
    config = toy.dlc(**changes)
    size = {'type': 'ResNet', 'depth': 18, 'stem_channels': 8, 'base_channels': 8, 'norm_cfg': {'type': 'BN'}}
    config['segmentor']['backbone'] = ConfigDict({**size, 'strides': (1, 2, 1, 1), **backbone})
    config['segmentor']['decode_head'].update(in_channels=64, in_index=3)
    torch.manual_seed(0)
    return MODELS.build(config).train()


def trained(model, steps=2):
    wrapper = toy.optim_wrapper(model)
    for seed in range(steps):
        torch.manual_seed(seed)
        model.train_step(toy.paired_batch(seed), wrapper)
    return model


def statistics(network):
    return {name: value for name, value in network.named_buffers() if 'running' in name or 'num_batches' in name}


FROZEN = [{'norm_eval': True, 'frozen_stages': 1}, {'frozen_stages': 2}]


@pytest.mark.parametrize('backbone', FROZEN)
def test_the_teacher_stays_the_same_function_of_frozen_weights(backbone):
    model = build(backbone)
    start = copy.deepcopy(statistics(model.student))
    trained(model)
    names, kept = [name for name, _ in model.student.named_modules()], []
    for name in names:
        norm, own = model.student.get_submodule(name), model.teacher.get_submodule(name)
        if isinstance(norm, _BatchNorm):
            assert own.training == norm.training, name
            same = torch.equal(own.running_mean, start[f'{name}.running_mean'])
            assert same == (not norm.training), name
            kept.append(not norm.training)
    assert any(kept)
    assert not all(kept)  # the head's


def test_whatever_train_is_called_later():
    model = build({'norm_eval': True})
    model.teacher.train()
    model.student.decode_head.eval()
    start = copy.deepcopy(statistics(model.teacher))
    model.label_target(model.data_preprocessor(toy.paired_batch(), True)['inputs']['target'])
    for name, value in statistics(model.teacher).items():
        assert torch.equal(value, start[name]), name


@pytest.mark.parametrize('teacher_statistics', ['BatchStatistics', 'ClassMatchedStatistics'])
def test_gradient_checkpointing_changes_nothing(teacher_statistics):
    """The second forward pass, within the backward one, normalises as the first did and counts nowhere."""
    settings = {'teacher_statistics': {'type': teacher_statistics}}
    plain, checkpointing = (trained(build({'with_cp': with_cp}, **settings)) for with_cp in (False, True))
    for network in ('student', 'teacher'):
        expected = getattr(plain, network).state_dict()
        for name, value in getattr(checkpointing, network).state_dict().items():
            torch.testing.assert_close(value, expected[name], msg=f'{network} {name}')


def test_losses_in_one_graph_refuse_gradient_checkpointing_of_batch_norms():
    batch = toy.paired_batch()
    model = build({'with_cp': True})
    with pytest.raises(UserError, match='train_step'):
        model.loss(**model.data_preprocessor(batch, True))
    norm_free = build({'norm_cfg': {'type': 'GN', 'num_groups': 2}, 'with_cp': True})
    losses = norm_free.loss(**norm_free.data_preprocessor(batch, True))
    assert all(value.isfinite().all() for value in losses.values())


def test_the_context_leaves_statistics_and_settings_alone():
    norms = nn.BatchNorm2d(2), nn.BatchNorm2d(2, momentum=None), nn.InstanceNorm2d(2, track_running_stats=True)
    network = nn.Sequential(*norms, nn.BatchNorm2d(2, track_running_stats=False), nn.InstanceNorm2d(2)).train()
    images = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    before = copy.deepcopy(dict(network.named_buffers()))
    with pytest.raises(ValueError, match='5D'), running_statistics(network, update=False):
        network(network(images)[None])
    for name, value in network.named_buffers():
        assert torch.equal(value, before[name]), name
    assert [norm.momentum for norm in network] == [0.1, None, 0.1, 0.1, 0.1]
    with running_statistics(network, update=True):
        network(images)
    assert int(network[0].num_batches_tracked) == int(network[1].num_batches_tracked) == 1
