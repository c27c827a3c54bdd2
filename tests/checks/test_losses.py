"""Losses of the heads that fail on ignored pixels, do not reach the target, or cannot train at batch size 1."""

from __future__ import annotations

from copy import deepcopy

import mmseg
import pytest
import torch
import toy
from mmengine.config import ConfigDict
from mmseg.registry import MODELS
from torch import nn

from dlc_mmseg.checks.losses import check_losses, check_pooled_norms
from dlc_mmseg.checks.report import Report
from dlc_mmseg.errors import UserError

WEIGHTS = [3.0, 2.0, 50.0]


def model_config(*, auxiliary=False, head=None, loss=None, **changes):
    config = toy.dlc(segmentor=toy.segmentor(auxiliary=auxiliary), **changes)
    config['segmentor']['decode_head'].update(head or {})
    config['segmentor']['decode_head']['loss_decode'] = loss or {'type': 'CrossEntropyLoss'}
    return config


def checked(config, check=check_losses, batch_size=2):
    report = Report()
    whole = {'model': config, 'train_dataloader': {'batch_size': batch_size}}
    check(deepcopy(whole), MODELS.build(config), report)
    return report


@MODELS.register_module()
class StumblingLoss(nn.Module):
    """Indexes with the labels as they are, or divides by what is left."""

    def __init__(self, way, class_weight=None):
        super().__init__()
        self.way, self.class_weight = way, class_weight

    def forward(self, logits, labels, weight=None, ignore_index=255):
        if self.way == 'index':
            return logits.permute(1, 0, 2, 3)[labels].mean()
        return logits.mean() / (labels == 1000).sum()


@pytest.mark.parametrize(
    'loss',
    [
        {'type': 'CrossEntropyLoss'},
        {'type': 'CrossEntropyLoss', 'avg_non_ignore': True},
        [
            {'type': 'CrossEntropyLoss', 'loss_name': 'loss_a'},
            {'type': 'DiceLoss', 'use_sigmoid': False, 'loss_name': 'loss_b'},
        ],
        {'type': 'ForwardCorrectedCrossEntropyLoss', 'reduction': 'valid_mean'},
        {'type': 'LovaszLoss', 'reduction': 'none'},  # takes a view of the labels
    ],
)
def test_sound_losses_are_left_alone(loss):
    assert checked(model_config(loss=loss, auxiliary=True)).problems == []


@pytest.mark.parametrize(('way', 'what'), [('index', 'fails on ignored pixels (index 255'), ('none', 'gives ')])
@pytest.mark.parametrize('weights', [None, WEIGHTS])
def test_losses_that_ignored_pixels_break_are_named(way, what, weights):
    report = checked(model_config(loss={'type': 'StumblingLoss', 'way': way, 'class_weight': weights}))
    (problem,) = report.errors
    assert problem.where == 'model.segmentor.decode_head.loss_decode'
    assert problem.what.startswith(f'StumblingLoss {what}')
    assert "take dict(type='ForwardCorrectedCrossEntropyLoss', reduction='valid_mean'" in problem.remedy
    assert ('class_weight' in problem.remedy) == (weights is not None)


def test_class_weights_of_mmsegmentations_loss_without_ignored_pixels_in_the_mean():
    """Upstream fails on them (onedl-mmsegmentation 1.4.2); the remedy works."""
    loss = {'type': 'CrossEntropyLoss', 'class_weight': WEIGHTS, 'avg_non_ignore': True}
    config = model_config(loss=loss)
    (problem,) = checked(config).errors
    assert problem.what.startswith('CrossEntropyLoss fails on ignored pixels')
    config['segmentor']['decode_head']['loss_decode'] = {
        'type': 'ForwardCorrectedCrossEntropyLoss', 'reduction': 'valid_mean', 'class_weight': WEIGHTS,
    }  # fmt: skip
    assert checked(config).errors == []
    model = MODELS.build(config).train()
    assert model.train_step(toy.paired_batch(), toy.optim_wrapper(model))['loss'].isfinite()


def test_heads_are_named_as_in_the_config():
    bad = {'type': 'StumblingLoss', 'way': 'index'}
    config = model_config(auxiliary=True)
    config['segmentor']['auxiliary_head'] = [config['segmentor']['auxiliary_head'] for _ in range(2)]
    config['segmentor']['auxiliary_head'][1] = ConfigDict(
        {**config['segmentor']['auxiliary_head'][1], 'loss_decode': bad}
    )
    (problem,) = checked(config).errors
    assert problem.where == 'model.segmentor.auxiliary_head.1.loss_decode'


@pytest.mark.parametrize(
    'loss', [{'type': 'CrossEntropyLoss'}, {'type': 'ForwardCorrectedCrossEntropyLoss', 'reduction': 'valid_mean'}]
)
def test_class_weights_that_reach_the_source_only_are_named_and_the_remedies_work(loss):
    config = model_config(loss={**loss, 'class_weight': WEIGHTS})
    (problem,) = checked(config).problems
    if loss['type'] == 'CrossEntropyLoss' and mmseg.__version__ == '1.2.2':
        assert 'fails on ignored pixels (index 255 is out of bounds' in problem.what  # as OpenMMLab's last does
        return
    assert (problem.severity, problem.where) == ('warning', 'model.segmentor.decode_head.loss_decode.class_weight')
    assert 'source images only' in problem.what
    for given in (WEIGHTS, None):
        assert checked({**config, 'target_loss': {**config['target_loss'], 'class_weight': given}}).problems == []
    parts = {'class_mix': None, 'masked_consistency': None, 'teacher_batch_statistics': False}
    assert checked({**config, **parts}).problems == []  # there is no target loss


def test_class_weights_of_the_target_loss_change_it():
    losses = []
    for weights in (None, WEIGHTS):
        torch.manual_seed(0)
        config = model_config(target_loss={'type': 'ForwardCorrectedCrossEntropyLoss', 'class_weight': weights})
        model = MODELS.build(config).train()
        log = model.train_step(toy.paired_batch(), toy.optim_wrapper(model))
        losses.append({name: float(value.detach()) for name, value in log.items() if 'loss_' in name})
    plain, weighed = losses
    assert plain.keys() == weighed.keys()
    for name in plain:
        assert (plain[name] == weighed[name]) == name.startswith('source'), name


def test_class_weights_of_the_target_loss_of_another_number():
    config = model_config(target_loss={'type': 'ForwardCorrectedCrossEntropyLoss', 'class_weight': [1.0, 2.0]})
    (problem,) = checked(config).errors
    assert problem.where == 'model.target_loss.class_weight'


def pooling_config(norm):
    head = {'type': 'PSPHead', 'pool_scales': (1, 2), 'norm_cfg': norm}
    config = model_config()
    base = {key: value for key, value in config['segmentor']['decode_head'].items() if key not in
            ('num_convs', 'concat_input')}  # fmt: skip
    config['segmentor']['decode_head'] = ConfigDict({**base, **head})
    return config


def test_global_pooling_at_batch_size_one_is_found_before_training():
    config = pooling_config({'type': 'BN'})
    (problem,) = checked(config, check_pooled_norms, batch_size=1).errors
    assert problem.where == 'train_dataloader.batch_size'
    assert 'model.segmentor.decode_head.psp_modules.0 pools an image to one value per channel' in problem.what
    assert checked(config, check_pooled_norms).problems == []
    assert checked(pooling_config({'type': 'GN', 'num_groups': 2}), check_pooled_norms, batch_size=1).problems == []
    assert checked(model_config(), check_pooled_norms, batch_size=1).problems == []


def test_global_pooling_at_batch_size_one_is_named_in_training_and_the_remedies_work():
    model = MODELS.build(pooling_config({'type': 'BN'})).train()
    with pytest.raises(
        UserError, match=r'train_dataloader\.batch_size: leaves a batch norm with one value per channel'
    ):
        model.train_step(toy.paired_batch(batch_size=1), toy.optim_wrapper(model))
    assert model.train_step(toy.paired_batch(batch_size=2), toy.optim_wrapper(model))['loss'].isfinite()
    grouped = MODELS.build(pooling_config({'type': 'GN', 'num_groups': 2})).train()
    assert grouped.train_step(toy.paired_batch(batch_size=1), toy.optim_wrapper(grouped))['loss'].isfinite()
