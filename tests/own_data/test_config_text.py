"""The block of `dlc_custom.py`, filled in."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from dlc_mmseg.own_data.config_files import ready_configs, write_configs
from dlc_mmseg.own_data.config_text import change_preset, fill_block, replace_docstring

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
VALUES = {
    'source_root': 'data/Straße "x"', 'source_images': '.', 'source_image_suffix': '.tif', 'source_labels': 'lbl',
    'source_label_suffix': '.tif', 'target_root': 'tgt', 'target_images': 'img', 'target_image_suffix': '.jp2',
    'target_labels': 'lbl', 'target_label_suffix': '.png', 'classes': ('a', 'low vegetation'),
    'palette': [[1, 2, 3], [4, 5, 6]], 'source_label_map': {'a': 0, 'low vegetation': [40, 80]},
    'target_label_map': None, 'source_bands': [4, 1, 2, 3], 'target_bands': [1, 2, 3, 4], 'mean': 'auto', 'std': 'auto',
    'value_range': 4000,
    'source_split': 'train.txt', 'target_split': None, 'map_split': None, 'validation_split': None, 'preset': 'cpu',
}  # fmt: skip


def test_every_value_arrives_and_the_rest_stays(tmp_path):
    text = (CONFIGS / 'dlc_custom.py').read_text(encoding='utf-8')
    filled = fill_block(text, VALUES)
    scope = {}
    exec(filled.split('# what the fields below')[0], scope)
    assert {name: scope[name] for name in VALUES} == VALUES
    assert filled.split('# what the fields below')[1] == text.split('# what the fields below')[1]
    comments = [line[line.index('#') :] for line in text.splitlines() if '#' in line]
    assert [line[line.index('#') :] for line in filled.splitlines() if '#' in line] == comments


def test_the_block_has_no_other_variable():
    """What is added to the block must be found by `init` too, or have a value that always fits."""
    text = (CONFIGS / 'dlc_custom.py').read_text(encoding='utf-8')
    scope, before = {}, text.split('# ---- edit here')[0]
    exec(text.split('# what the fields below')[0], scope)
    known = {
        *VALUES,
        'presets',
        'network',
        'crop_size',
        'max_iters',
        'weights_file',
        'backbone_learns',
        'checkpoint_score',
        '_base_',
        '__doc__',
        '__builtins__',
    }
    assert {name for name in scope if name not in known} == set(), before


def test_a_variable_that_is_not_there():
    text = (CONFIGS / 'dlc_custom.py').read_text(encoding='utf-8')
    with pytest.raises(ValueError, match=r"does not assign \['nowhere'\]"):
        fill_block(text, {'nowhere': 1})


def test_presets_and_docstring():
    text = (CONFIGS / 'dlc_custom.py').read_text(encoding='utf-8')
    changed = change_preset(text, 'cpu', network='small', iterations=80)
    assert "cpu=('small', (128, 128), 80)" in changed
    assert "gpu=('small', (256, 256), 4000)" in changed
    assert replace_docstring(text, 'What it is.\n\nMore.\n').startswith('"""What it is.\n\nMore.\n"""\n\n_base_')


def test_configs_load_and_are_never_overwritten_unasked(tmp_path):
    texts = ready_configs(CONFIGS, 'a2b', VALUES, 'From a to b.', iterations=80)
    assert {*texts} == {
        *('dlc_a2b.py', 'source_only_a2b.py', 'baseline_a2b.py'),
        *(
            '_base_/default_runtime.py',
            '_base_/models/dlc_small_resnet.py',
            '_base_/models/dlc.py',
            '_base_/models/networks.py',
        ),
    }
    for name in ('dlc_custom', 'source_only_custom', 'baseline_custom'):
        assert not any(name in text for path, text in texts.items() if '_base_' not in path)
    assert len(write_configs(tmp_path, texts, overwrite=False)) == 7
    assert write_configs(tmp_path, texts, overwrite=False) == []
    for kind in ('dlc', 'source_only', 'baseline'):
        config = Config.fromfile(tmp_path / f'{kind}_a2b.py')
        assert config.train_cfg.max_iters == 80
        assert config.train_dataloader.dataset.source.data_root == VALUES['source_root']
    assert Config.fromfile(tmp_path / 'baseline_a2b.py').model.transition is None
    (tmp_path / 'dlc_a2b.py').write_text('mine', encoding='utf-8')
    with pytest.raises(ValueError, match='is there with other content'):
        write_configs(tmp_path, texts, overwrite=False)
    assert (tmp_path / 'dlc_a2b.py').read_text(encoding='utf-8') == 'mine'
    assert write_configs(tmp_path, texts, overwrite=True) == [tmp_path / 'dlc_a2b.py']
