"""Every config builds, steps twice with its own optimizer, and predicts, at a reduced size."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmseg.registry import MODELS
from PIL import Image
from tiny_domains import CLASSES, PALETTE, write_domain

CONFIGS = sorted((Path(__file__).parents[1] / 'configs').glob('*.py'))
needs_mmpretrain = pytest.mark.skipif(
    importlib.util.find_spec('mmpretrain') is None, reason='the extra [mmpretrain] is not installed'
)
BUILT = [pytest.param(path, id=path.stem, marks=needs_mmpretrain if 'dinov2' in path.stem else ()) for path in CONFIGS]
SIZE = (64, 64)
PUBLISHED_TASKS = {
    'potirrg2vai': ('baseline', 'ls', 'ntm', 'ntm_vol', 'dlc'),
    'vai2potrgb': ('baseline', 'ls', 'ntm', 'ntm_vol', 'dlc'),
    'vai2potirrg': ('baseline', 'dlc'),
    'whuopt2sar': ('baseline', 'dlc'),
}


def reduced(config):
    """The config's model with a tiny network of the same kind."""
    model = config.model
    segmentor = model.segmentor
    segmentor.backbone.pop('init_cfg', None)
    if segmentor.type == 'HRDAEncoderDecoder':
        widths = [8, 16, 40, 64]
        segmentor.crop_size = (32, 32)
        segmentor.backbone.update(embed_dims=8, num_layers=[1, 1, 1, 1])
        for head in (segmentor.decode_head.head, segmentor.decode_head.scale_attention):
            head.update(in_channels=widths, channels=8, embed_dims=8)
    elif segmentor.backbone.type == 'mmpretrain.LoRAModel':
        vit = segmentor.backbone.module
        vit.pop('init_cfg')
        vit.update(img_size=56, arch={'embed_dims': 8, 'num_layers': 12, 'num_heads': 2, 'feedforward_channels': 16})
        segmentor.neck.embed_dim = 8
        segmentor.decode_head.update(in_channels=[8] * 4, channels=8)
        model.data_preprocessor.test_cfg.size = (70, 70)
    else:
        segmentor.backbone.update(stem_channels=4, base_channels=4)
        segmentor.decode_head.update(in_channels=[4, 8, 16, 32], channels=8)
    if segmentor.test_cfg.mode == 'slide':
        segmentor.test_cfg.update(crop_size=SIZE, stride=(32, 32))
    model.data_preprocessor.pop('size', None)
    estimator = (model.get('transition') or {}).get('estimator')
    if estimator and estimator.type == 'ConsensusEstimator':
        estimator.num_points = 300
    return model


def test_every_published_row_has_its_config():
    names = {path.stem for path in CONFIGS}
    rows = {f'{variant}_{task}' for task, variants in PUBLISHED_TASKS.items() for variant in variants}
    assert rows <= names


@pytest.mark.parametrize('path', BUILT)
def test_builds_steps_twice_and_predicts(path):
    config = Config.fromfile(path)
    model = MODELS.build(reduced(config))
    classes = model.num_classes
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    model.train()
    model.iteration.fill_(config.model.get('warmup_iterations') or 0)  # every branch is there after the warm-up
    for seed in range(2):
        log = model.train_step(toy.paired_batch(seed, size=SIZE), wrapper)
        assert all(torch.isfinite(value).all() for value in log.values()), log
    branches = {name.split('.')[0] for name in log} - {'loss', 'target'}  # target: only logged
    expected = {'source'} if path.stem.startswith('source_only') else {'source', 'mix', 'masked'}
    if config.model.get('transition'):
        expected.add('transition')
    assert branches == expected
    model.eval()
    prediction = model.val_step(toy.domain_batch(labelled=True, size=SIZE, batch_size=1))[0]
    assert prediction.pred_sem_seg.data.shape == (1, *SIZE)
    assert prediction.seg_logits.data.shape == (classes, *SIZE)


@pytest.mark.parametrize('path', BUILT)
def test_optimizer_settings_reach_the_parameters(path):
    config = Config.fromfile(path)
    model = MODELS.build(reduced(config))
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    rate = config.optim_wrapper.optimizer.lr
    by_parameter = {id(parameter): group for group in groups for parameter in group['params']}
    head_rate = (
        rate * 10
        if 'potirrg' in path.stem or 'dinov2' in path.stem or 'hrda' in config.model.segmentor.type.lower()
        else rate
    )
    for name, parameter in model.student.named_parameters():
        if not parameter.requires_grad:
            continue
        group = by_parameter[id(parameter)]
        assert group['lr'] == pytest.approx(head_rate if 'decode_head' in name else rate), name
        if config.model.segmentor.type == 'HRDAEncoderDecoder' and '.norm' in name and 'backbone' in name:
            assert group['weight_decay'] == 0, name


def test_variants_differ_only_in_their_parts():
    full = Config.fromfile(next(path for path in CONFIGS if path.stem == 'dlc_potirrg2vai')).to_dict()
    for variant in ('baseline', 'ls', 'ntm', 'ntm_vol'):
        path = next(path for path in CONFIGS if path.stem == f'{variant}_potirrg2vai')
        other = Config.fromfile(path).to_dict()
        assert {key: value for key, value in other.items() if key != 'model'} == {
            key: value for key, value in full.items() if key != 'model'
        }
        changed = {key for key, value in other['model'].items() if full['model'][key] != value}
        assert changed <= {'target_loss', 'transition', 'volume_loss', 'convexity_loss'}, variant
        assert changed, variant


@pytest.mark.parametrize('path', CONFIGS, ids=[path.stem for path in CONFIGS])
def test_every_run_is_checked_resumable_and_watched(path):
    """Child configs may replace hooks: none may lose these."""
    config = Config.fromfile(path)
    assert config.runner_type == 'PreflightRunner'
    hooks = {hook['type'] for hook in config.default_hooks.values()}
    assert {'PreflightHook', 'ExactResumeHook', 'PseudoLabelWeightHook'} <= hooks
    assert config.train_dataloader.sampler.type == 'PairedDomainSampler'
    assert config.model_wrapper_cfg.type == 'BranchwiseDistributedDataParallel'
    assert config.default_hooks.checkpoint.max_keep_ckpts != 1


def custom_config(folder, **changes):
    """`dlc_custom.py` with other values in its block, beside the two configs that build on it."""
    text = next(path for path in CONFIGS if path.stem == 'dlc_custom').read_text(encoding='utf-8')
    text = text.replace("'./_base_/", f"'{CONFIGS[0].parent.as_posix()}/_base_/")
    for name, value in changes.items():
        text, found = re.subn(rf'(?m)^{name} = .*$', f'{name} = {value!r}', text)
        assert found, name
    (folder / 'dlc_custom.py').write_text(text, encoding='utf-8')
    for name in ('baseline_custom', 'source_only_custom'):
        shutil.copy(CONFIGS[0].parent / f'{name}.py', folder)
    return folder / 'dlc_custom.py'


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'preset': 'tpu'}, "preset is 'tpu': choose one of gpu, cpu"),
        (
            {'presets': {'gpu': ('huge', (256, 256), 9)}},
            "the network of presets is 'huge': choose one of tiny, small, mit_b0",
        ),
        ({'palette': [[1, 2, 3]]}, 'palette has 1 colours, classes has 5 names'),
        ({'source_bands': [1, 2, 3], 'target_bands': [1, 2]}, 'source_bands and target_bands differ in number'),
        ({'source_bands': [1, 2, 3, 4], 'target_bands': [4, 3, 2, 1]}, 'mean has 3 values for 4 bands'),
        ({'target_label_map': {'road': 1}}, 'target_label_map is given without validation_split'),
    ],
)
def test_what_the_block_makes_impossible_is_refused_by_name(tmp_path, changes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        Config.fromfile(custom_config(tmp_path, **changes))


@pytest.mark.parametrize(
    ('preset', 'network', 'bands'), [('cpu', None, [3, 1]), ('gpu', 'tiny', None), ('cpu', 'mit_b0', None)]
)
def test_networks_and_presets_of_the_block_build(tmp_path, preset, network, bands):
    changes = {'preset': preset, 'source_bands': bands, 'target_bands': bands, 'value_range': 4000}
    if network:
        changes['presets'] = {preset: (network, (64, 64), 16)}
        changes['presets'].setdefault('gpu', ('small', (256, 256), 4000))
    path = custom_config(tmp_path, **changes, **({} if bands is None else {'mean, std': ('auto', 'auto')}))
    config = Config.fromfile(path)
    model = MODELS.build({**config.model, 'segmentor': without_weights(config.model.segmentor)})
    side = 64 if network else {'cpu': 128, 'gpu': 256}[preset]
    assert config.model.data_preprocessor.size == (side, side)
    logits = model.student._forward(torch.zeros(1, len(bands or 'rgb'), 64, 64))
    assert logits.shape[1] == 5
    assert model.strong_augmentation.value_range.flatten().tolist() == [4000]
    for name, parts in (('baseline_custom', ['class_mix']), ('source_only_custom', [])):
        other = Config.fromfile(tmp_path / f'{name}.py')
        assert other.train_dataloader == config.train_dataloader
        assert other.model.segmentor == config.model.segmentor
        assert [part for part in ('class_mix', 'transition', 'volume_loss') if other.model.get(part)] == parts
        MODELS.build({**other.model, 'segmentor': without_weights(other.model.segmentor)})


def without_weights(segmentor):
    """The same without weights to fetch."""
    return ConfigDict({**segmentor, 'backbone': {**segmentor['backbone'], 'init_cfg': None}})


@pytest.mark.parametrize('split', [None, 'val.txt'])
def test_a_custom_target_is_mapped_without_labels_and_evaluated_with(split, tmp_path, monkeypatch):
    write_domain(tmp_path / 'data/my_target', 3 if split is None else [{1: 9}, {1: 60, 2: 40}, {2: 9}])
    (tmp_path / 'data/my_target/val.txt').write_text('t01\n')
    text = next(path for path in CONFIGS if path.stem == 'dlc_custom').read_text(encoding='utf-8')
    for old, new in (
        ("'./_base_/", f"'{CONFIGS[0].parent.as_posix()}/_base_/"),
        ('validation_split = None', f'validation_split = {split!r}'),
        ('classes = (', f'classes = {CLASSES!r}\npalette = {PALETTE!r}\nunused = ('),
    ):
        assert old in text
        text = text.replace(old, new)
    (tmp_path / 'custom.py').write_text(text.replace('\npalette = [[220', '\nunused = [[220'), encoding='utf-8')
    monkeypatch.chdir(tmp_path)
    config = Config.fromfile(tmp_path / 'custom.py')
    config.merge_from_dict({'test_dataloader.num_workers': 0, 'test_dataloader.persistent_workers': False})
    config.test_evaluator['output_dir'] = 'there'  # as `mim test --out there` does
    config.work_dir, config.model = 'work', reduced(config)
    torch.manual_seed(0)
    config.load_from = None
    metrics = Runner.from_cfg(config).test()
    maps = {path.name: np.asarray(Image.open(path)) for path in Path('there').iterdir()}
    assert sorted(maps) == ['t00.png', 't01.png', 't02.png']  # of all images, whichever are compared
    assert all(image.shape == (16, 16) and image.max() < 3 for image in maps.values())
    assert bool(metrics) == (config.val_dataloader is not None) == (split is not None)
