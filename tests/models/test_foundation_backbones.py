"""Backbones of MMPreTrain and timm inside `DLCSegmentor`, untouched; `make test-mmpretrain` brings both."""

from __future__ import annotations

import importlib.util
from copy import deepcopy

import pytest
import torch
import toy
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from dlc_mmseg.checks.outside_packages import missing_package

needs_mmpretrain = pytest.mark.skipif(
    importlib.util.find_spec('mmpretrain') is None, reason='the extra [mmpretrain] is not installed'
)
needs_timm = pytest.mark.skipif(importlib.util.find_spec('timm') is None, reason='timm is not installed')

VIT = {
    'type': 'mmpretrain.VisionTransformer',
    'arch': {'embed_dims': 16, 'num_layers': 4, 'num_heads': 2, 'feedforward_channels': 32},
    'img_size': 56,
    'patch_size': 14,
    'layer_scale_init_value': 1e-5,
    'out_type': 'featmap',
    'out_indices': [0, 1, 2, 3],
}
PYRAMID = {'type': 'Feature2Pyramid', 'embed_dim': 16, 'rescales': [4, 2, 1, 0.5], 'norm_cfg': {'type': 'BN'}}
TARGETS = [{'type': 'attn.qkv'}, {'type': 'attn.proj'}]
NETWORKS = {
    'convnext': (
        {
            'type': 'mmpretrain.ConvNeXt',
            'arch': {'depths': [1, 1, 1, 1], 'channels': [8, 16, 24, 32]},
            'gap_before_final_norm': False,
        },
        None,
        [8, 16, 24, 32],
    ),
    'swin': (
        {
            'type': 'mmpretrain.SwinTransformer',
            'arch': {'embed_dims': 8, 'depths': [1, 1, 1, 1], 'num_heads': [1, 1, 1, 1]},
            'img_size': 56,
            'pad_small_map': True,
        },
        None,
        [8, 16, 32, 64],
    ),
    'dinov2': (VIT, PYRAMID, [16] * 4),
    'dinov2, frozen': ({**VIT, 'frozen_stages': 4}, PYRAMID, [16] * 4),
    'dinov2, LoRA': (
        {'type': 'mmpretrain.LoRAModel', 'module': VIT, 'rank': 2, 'alpha': 2, 'targets': TARGETS},
        PYRAMID,
        [16] * 4,
    ),
}


def network(backbone, neck, widths):
    backbone = deepcopy(backbone)
    if 'out_indices' not in backbone and 'arch' in backbone:
        backbone['out_indices'] = (0, 1, 2, 3)
    head = {
        'type': 'UPerHead',
        'in_channels': widths,
        'in_index': [0, 1, 2, 3][: len(widths)],
        'pool_scales': (1, 2),
        'channels': 8,
        'num_classes': toy.NUM_CLASSES,
        'norm_cfg': {'type': 'BN'},
        'align_corners': False,
        'loss_decode': {'type': 'CrossEntropyLoss'},
    }
    config = {'type': 'EncoderDecoder', 'backbone': backbone, 'decode_head': head, 'test_cfg': {'mode': 'whole'}}
    return ConfigDict({**config, **({'neck': neck} if neck else {})})


def trained_two_steps(segmentor, side=56):
    torch.manual_seed(0)
    model = MODELS.build(toy.dlc(segmentor=segmentor))
    model.train()
    optimizer = toy.optim_wrapper(model)
    for seed in range(2):
        log = model.train_step(toy.paired_batch(seed, size=(side, side)), optimizer)
        assert all(torch.isfinite(value).all() for value in log.values()), log
    return model.eval()


def check_predictions(model, side=56):
    prediction = model.val_step(toy.domain_batch(labelled=True, size=(side, side), batch_size=1))[0]
    assert prediction.pred_sem_seg.data.shape == (1, side, side)
    assert prediction.seg_logits.data.isfinite().all()


@needs_mmpretrain
@pytest.mark.parametrize('name', NETWORKS)
def test_steps_twice_and_predicts(name):
    check_predictions(trained_two_steps(network(*NETWORKS[name])))


@needs_mmpretrain
@needs_timm
def test_timms_dinov3_steps_twice_and_predicts():
    name = 'vit_small_patch16_dinov3'
    backbone = {'type': 'mmpretrain.TIMMBackbone', 'model_name': name, 'features_only': True, 'pretrained': False}
    backbone['out_indices'] = (2, 5, 8, 11)
    backbone['img_size'] = 64
    check_predictions(trained_two_steps(network(backbone, {**PYRAMID, 'embed_dim': 384}, [384] * 4), 64), 64)


@needs_mmpretrain
def test_what_is_frozen_stays_and_lora_moves():
    frozen, adapted = (network(*NETWORKS[name]) for name in ('dinov2, frozen', 'dinov2, LoRA'))
    torch.manual_seed(0)
    before = {key: value.clone() for key, value in MODELS.build(toy.dlc(segmentor=frozen)).student.named_parameters()}
    after = dict(trained_two_steps(frozen).student.named_parameters())
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed
    assert not any(key.startswith('backbone.layers') for key in changed)
    moved = trained_two_steps(adapted).student
    for key, value in moved.named_parameters():
        if 'lora_up' in key:
            assert value.abs().max() > 0, key  # it begins at zero


@needs_mmpretrain
def test_a_checkpoint_with_adapters_is_complete():
    """LoRAModel's own hooks drop the student's head, and hide that it is missing on loading."""
    segmentor = network(*NETWORKS['dinov2, LoRA'])
    model = trained_two_steps(segmentor)
    expected = {name for name, _ in model.named_parameters()} | {name for name, _ in model.named_buffers()}
    state = model.state_dict()
    assert {name for name in expected if name.startswith(('student.', 'teacher.'))} <= set(state)
    assert state['iteration'] == 2
    torch.manual_seed(1)  # other weights, DINOv2's included
    other = MODELS.build(toy.dlc(segmentor=segmentor)).eval()
    other.load_state_dict(state)
    image = torch.randn(1, 3, 56, 56)
    metas = [{'img_shape': (56, 56), 'ori_shape': (56, 56), 'pad_shape': (56, 56)}]
    assert torch.equal(model.encode_decode(image, metas), other.encode_decode(image, metas))
    del state['student.backbone.module.patch_embed.projection.weight']
    with pytest.raises(RuntimeError, match='patch_embed'):
        other.load_state_dict(state)


def test_an_absent_package_is_named_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    what, remedy = missing_package('mmpretrain.LoRAModel')
    assert what == "'mmpretrain.LoRAModel' is a part of mmpretrain, which is not installed"
    assert remedy == 'pip install "dlc-mmseg[mmpretrain]"'
    assert missing_package('LoRAModel') is None
