"""Every network that the block of dlc_custom.py offers trains and predicts; weights may come from a file."""

from __future__ import annotations

import importlib.util
import re

import pytest
import torch
import toy
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmseg.registry import MODELS
from test_configs import CONFIGS, custom_config

NETWORKS = (
    'tiny', 'small', 'resnet18', 'resnet50', 'mit_b0', 'mit_b2', 'mit_b5', 'convnext_tiny', 'dinov2_small',
    'dinov2_base', 'dinov2_large',
)  # fmt: skip
MMPRETRAIN = ('convnext_tiny', 'dinov2_small', 'dinov2_base', 'dinov2_large')
FROM_SCRATCH = ('tiny', 'small')
needs_mmpretrain = pytest.mark.skipif(
    importlib.util.find_spec('mmpretrain') is None, reason='the extra [mmpretrain] is not installed'
)
OFFERED = [pytest.param(name, marks=needs_mmpretrain if name in MMPRETRAIN else ()) for name in NETWORKS]
SIDE = 64


def config_with(folder, network, **changes):
    return Config.fromfile(custom_config(folder, presets={'gpu': (network, (SIDE, SIDE), 16)}, **changes))


def small(segmentor):
    """The same kind of network with few channels and layers, and random weights."""
    backbone = segmentor.backbone.get('module', segmentor.backbone)
    backbone.pop('init_cfg', None)
    widths = [8, 16, 24, 32]
    if backbone.type == 'ResNetV1c':
        backbone.update(depth=18, stem_channels=4, base_channels=4)
        widths = [4, 8, 16, 32]
    elif backbone.type == 'MixVisionTransformer':
        backbone.update(embed_dims=8, num_layers=[1, 1, 1, 1])
        widths = [8, 16, 40, 64]
    elif backbone.type == 'mmpretrain.ConvNeXt':
        backbone.arch = {'depths': [1, 1, 1, 1], 'channels': widths}
    else:
        last = backbone.out_indices[-1] + 1
        backbone.arch = {'embed_dims': 8, 'num_layers': last, 'num_heads': 2, 'feedforward_channels': 16}
        backbone.img_size = 56
        widths, segmentor.neck.embed_dim = [8] * 4, 8
    segmentor.decode_head.update(in_channels=widths, channels=8)
    return segmentor


def trained_two_steps(config):
    torch.manual_seed(0)
    small(config.model.segmentor)
    model = MODELS.build(config.model)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    model.train()
    model.iteration.fill_(config.model.warmup_iterations)
    for seed in range(2):
        log = model.train_step(toy.paired_batch(seed, size=(SIDE, SIDE)), wrapper)
        assert all(torch.isfinite(value).all() for value in log.values()), log
    return model.eval(), wrapper


@pytest.mark.parametrize('network', OFFERED)
def test_networks_step_twice_and_predict(tmp_path, network):
    config = config_with(tmp_path, network)
    backbone = config.model.segmentor.backbone
    weights = backbone.get('module', backbone).get('init_cfg')
    assert (weights is None) == (network in FROM_SCRATCH)
    assert weights is None or re.match(r'(https|open-mmlab)://', weights.checkpoint)
    assert config.model.predict_with == ('teacher' if network in FROM_SCRATCH else 'student')
    model, wrapper = trained_two_steps(config)
    size = (104, 88)  # windows slide, and are of whole patches
    prediction = model.val_step(toy.domain_batch(labelled=True, size=size, batch_size=1))[0]
    assert prediction.pred_sem_seg.data.shape == (1, *size)
    assert prediction.seg_logits.data.isfinite().all()
    rates = {id(value): group['lr'] for group in wrapper.optimizer.param_groups for value in group['params']}
    for name, parameter in model.student.named_parameters():
        if parameter.requires_grad:
            new = any(part in name for part in ('decode_head', 'neck', 'lora_'))
            expected = 1e-3 if network in FROM_SCRATCH else 6e-4 if new else 6e-5
            assert rates[id(parameter)] == pytest.approx(expected), name


def levels(segmentor, monkeypatch):
    """Channels of the feature levels of the network as it is, not reduced, computed without memory."""
    rates = torch.linspace  # of stochastic depth, which must be numbers
    monkeypatch.setattr(torch, 'linspace', lambda *values, **_: rates(*values, device='cpu'))
    with torch.device('meta'):
        backbone = segmentor.backbone.get('module', segmentor.backbone)
        features = MODELS.build({**backbone, 'init_cfg': None})(torch.empty(1, 3, 70, 70))
        if segmentor.get('neck'):
            features = MODELS.build(segmentor.neck)(features)
    return [level.shape[1] for level in features]


@pytest.mark.parametrize('network', OFFERED)
def test_networks_of_full_size_have_the_levels_that_the_head_expects(tmp_path, monkeypatch, network):
    segmentor = config_with(tmp_path, network).model.segmentor
    assert levels(segmentor, monkeypatch) == segmentor.decode_head.in_channels


@needs_mmpretrain
def test_networks_of_the_dinov2_configs_have_the_levels_that_the_head_expects(monkeypatch):
    segmentor = Config.fromfile(CONFIGS[0].parent / 'dlc_dinov2_vai2potirrg.py').model.segmentor
    assert levels(segmentor, monkeypatch) == segmentor.decode_head.in_channels


@needs_mmpretrain
@pytest.mark.parametrize('learns', ['lora', 'frozen', 'full'])
def test_networks_learn_the_part_of_dinov2_that_the_block_names(tmp_path, learns):
    config = config_with(tmp_path, 'dinov2_small', backbone_learns=learns)
    torch.manual_seed(0)
    small(config.model.segmentor)
    model = MODELS.build(config.model)
    names = [name for name, value in model.student.backbone.named_parameters() if value.requires_grad]
    if learns == 'lora':
        assert names
        assert all('lora_' in name for name in names)
    else:
        layers = [name for name in names if name.startswith('layers.')]
        assert bool(layers) == (learns == 'full')
    assert config.model.data_preprocessor.size == (70, 70)  # five patches
    assert config.model.segmentor.test_cfg.crop_size == (70, 70)


def test_networks_take_weights_from_a_file(tmp_path):
    config = config_with(tmp_path, 'resnet18', weights_file=str(tmp_path / 'weights.pth'))
    backbone = {**config.model.segmentor.backbone, 'init_cfg': None}
    torch.manual_seed(1)
    expected = MODELS.build(backbone).state_dict()
    torch.save({'state_dict': expected}, tmp_path / 'weights.pth')
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    for network in (model.student, model.teacher):
        own = network.backbone.state_dict()
        assert all(torch.equal(own[name], value) for name, value in expected.items())


@needs_mmpretrain
def test_networks_with_lora_take_weights_from_a_file(tmp_path):
    config = config_with(tmp_path, 'dinov2_small', weights_file=str(tmp_path / 'weights.pth'))
    vit = config.model.segmentor.backbone.module
    named = vit.init_cfg
    small(config.model.segmentor)
    torch.manual_seed(1)
    expected = MODELS.build(vit).state_dict()
    stored = {f'backbone.{name}': value for name, value in expected.items()}
    torch.save({'state_dict': stored}, tmp_path / 'weights.pth')
    vit.init_cfg = named
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    own = model.student.backbone.module.layers[3].ffn.layers[1].weight
    assert torch.equal(own, expected['layers.3.ffn.layers.1.weight'])


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'backbone_learns': 'some'}, "backbone_learns is 'some': choose one of lora, frozen, full"),
        ({'weights_file': 'w.pth'}, 'weights_file is given, but network "small" learns from scratch'),
        ({'checkpoint_score': 'mIoU'}, "checkpoint_score is 'mIoU': choose None or one of information, diversity"),
        (
            {
                'presets': {'gpu': ('resnet50', (64, 64), 16)},
                'source_bands': [1, 2],
                'target_bands': [1, 2],
                'mean, std': ('auto', 'auto'),
            },
            'network "resnet50" was trained on three bands, not 2: choose "small"',
        ),
    ],
)
def test_networks_that_the_block_makes_impossible_are_refused_by_name(tmp_path, changes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        Config.fromfile(custom_config(tmp_path, **changes))


@pytest.mark.parametrize('split', [None, 'val.txt'])
def test_a_score_without_labels_chooses_the_checkpoint(tmp_path, split):
    config = Config.fromfile(custom_config(tmp_path, checkpoint_score='diversity', validation_split=split))
    assert config.default_hooks.checkpoint.save_best == 'label_free/diversity'
    assert config.default_hooks.checkpoint.rule == 'greater'
    evaluators = [evaluator.type for evaluator in config.val_evaluator]
    assert evaluators == ['LabelFreeMetric', *(['ClassIoUMetric'] if split else [])]
    assert config.val_dataloader.dataset.ann_file == (split or '')
    assert config.val_cfg.type == 'ValLoop'
    plain = Config.fromfile(custom_config(tmp_path, validation_split=split))
    assert plain.default_hooks.checkpoint.save_best == (None if split is None else 'mIoU')
    assert (plain.val_cfg is None) == (split is None)
