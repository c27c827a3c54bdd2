"""Segmentors of MMSegmentation's model zoo, wrapped and stepped."""

from __future__ import annotations

import pytest
import torch
import toy
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

NORM = {'type': 'BN'}
RESNET = {
    'type': 'ResNetV1c',
    'depth': 18,
    'stem_channels': 4,
    'base_channels': 4,
    'out_indices': (0, 1, 2, 3),
    'norm_cfg': NORM,
}
COMMON = {'num_classes': toy.NUM_CLASSES, 'norm_cfg': NORM, 'align_corners': False, 'channels': 8}
AUXILIARY = {
    'type': 'FCNHead',
    'in_channels': 16,
    'in_index': 2,
    'num_convs': 1,
    'concat_input': False,
    **COMMON,
    'loss_decode': {'type': 'CrossEntropyLoss', 'loss_weight': 0.4},
}
DEEPLAB = {
    'type': 'DepthwiseSeparableASPPHead',
    'in_channels': 32,
    'in_index': 3,
    'dilations': (1, 12, 24, 36),
    'c1_in_channels': 4,
    'c1_channels': 4,
    **COMMON,
}
UPERNET = {'type': 'UPerHead', 'in_channels': [4, 8, 16, 32], 'in_index': [0, 1, 2, 3], 'pool_scales': (1, 2), **COMMON}
FCN = {'type': 'FCNHead', 'in_channels': 32, 'in_index': 3, 'num_convs': 1, 'concat_input': False, **COMMON}
OCR = {'type': 'OCRHead', 'in_channels': 32, 'in_index': 3, 'ocr_channels': 8, **COMMON}

SEGMENTORS = {
    'deeplabv3plus': {'decode_head': DEEPLAB, 'auxiliary_head': AUXILIARY},
    'upernet': {'decode_head': UPERNET, 'auxiliary_head': AUXILIARY},
    'two auxiliary heads': {'decode_head': DEEPLAB, 'auxiliary_head': [AUXILIARY, AUXILIARY]},
    'ocr cascade': {'type': 'CascadeEncoderDecoder', 'num_stages': 2, 'decode_head': [FCN, OCR]},
}
HEADS = {
    'deeplabv3plus': {'decode', 'aux'},
    'upernet': {'decode', 'aux'},
    'two auxiliary heads': {'decode', 'aux_0', 'aux_1'},
    'ocr cascade': {'decode_0', 'decode_1'},
}


@pytest.mark.parametrize('name', SEGMENTORS)
def test_steps_twice_and_predicts(name):
    torch.manual_seed(0)
    segmentor = ConfigDict(
        {'type': 'EncoderDecoder', 'backbone': RESNET, 'test_cfg': {'mode': 'whole'}, **SEGMENTORS[name]}
    )
    model = MODELS.build(toy.dlc(segmentor=segmentor)).train()
    wrapper = toy.optim_wrapper(model)
    before = [parameter.detach().clone() for parameter in model.student.parameters()]
    for seed in range(2):
        log = model.train_step(toy.paired_batch(seed, size=(64, 64)), wrapper)
    assert all(torch.isfinite(value).all() for value in log.values())
    for branch in ('mix', 'masked'):
        assert {key.split('.')[1] for key in log if key.startswith(f'{branch}.')} == HEADS[name]
    moved = [not torch.equal(old, new) for old, new in zip(before, model.student.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)
    prediction = model.eval().val_step(toy.domain_batch(labelled=True, size=(64, 64)))[0]
    assert prediction.pred_sem_seg.data.shape == (1, 64, 64)
