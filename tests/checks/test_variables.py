"""A variable that is changed when its fields are made already is named, with the fields; nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from test_configs import CONFIGS

from dlc_mmseg.checks import Report
from dlc_mmseg.checks.variables import check_variables

CUSTOM = next(path for path in CONFIGS if path.stem == 'dlc_custom')
DEMO = next(path for path in CONFIGS if path.stem == 'dlc_demo')
PUBLISHED = next(path for path in CONFIGS if path.stem == 'dlc_potirrg2vai')
SOURCE = 'train_dataloader.dataset.source'


def found(config: Config, *, file: bool = True) -> dict[str, str]:
    report = Report()
    check_variables(config.to_dict(), config.filename if file else None, report)
    assert {problem.severity for problem in report.problems} <= {'warning'}
    return {problem.where: f'{problem.what}: {problem.remedy}' for problem in report.problems}


@pytest.mark.parametrize('file', [True, False])
@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_configs_as_they_come_have_none(path, file):
    config = Config.fromfile(path)
    assert found(config, file=file) == {}
    config.merge_from_dict({'train_cfg.max_iters': 7, 'load_from': 'x.pth', 'sync_bn': 'torch', 'launcher': 'none'})
    assert found(config, file=file) == {}


@pytest.mark.parametrize('file', [True, False])
@pytest.mark.parametrize(
    ('name', 'value', 'field'),
    [
        ('max_iters', 100, 'train_cfg.max_iters=100'),
        ('source_root', 'elsewhere', f"{SOURCE}.data_root='elsewhere'"),
        ('source_image_suffix', '.tif', f"{SOURCE}.img_suffix='.tif'"),
        ('classes', ('a', 'b'), f'{SOURCE}.metainfo.classes'),
        ('crop_size', (512, 512), 'model.data_preprocessor.size'),
        ('source_split', 'train.txt', ''),
        ('mean', [1.0, 2.0, 3.0], 'model.data_preprocessor.mean'),
    ],
)
def test_the_block_at_the_top(name, value, field, file):
    config = Config.fromfile(CUSTOM)
    config.merge_from_dict({name: value})
    problems = found(config, file=file)
    assert list(problems) == [name]
    assert 'is read by nothing' in problems[name]
    assert f'edit {name} in' in problems[name]
    assert field in problems[name] or field not in ('train_cfg.max_iters=100', f"{SOURCE}.data_root='elsewhere'")


def test_the_remedy_works():
    config = Config.fromfile(CUSTOM)
    config.merge_from_dict({'max_iters': 100})
    fields = 'param_scheduler.1.end', 'train_cfg.max_iters', 'model.transition.total_iterations'
    (told,) = found(config).values()
    assert all(f'{field}=100' in told for field in fields)
    config.merge_from_dict(dict.fromkeys(fields, 100))
    assert found(config) == {}


@pytest.mark.parametrize(
    ('path', 'name', 'value', 'field'),
    [
        (DEMO, 'max_iters', 100, 'train_cfg.max_iters=100'),
        (DEMO, 'data_root', 'elsewhere', "data_root='elsewhere/potsdam"),
        (PUBLISHED, 'stride', 512, "data_root='data/potsdam/irrg_512_s512'"),
        (PUBLISHED, 'max_iters', 100, 'param_scheduler.1.end=100'),
    ],
)
def test_variables_of_base_files_and_computed_values(path, name, value, field):
    config = Config.fromfile(path)
    config.merge_from_dict({name: value})
    (told,) = found(config).values()
    assert field in told


def child(tmp_path: Path, text: str) -> Config:
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = '{CUSTOM}'\n{text}", encoding='utf-8')
    return Config.fromfile(path)


@pytest.mark.parametrize('file', [True, False])
def test_child_configs(tmp_path, file):
    problems = found(child(tmp_path, "max_iters = 100\nclasses = ('a', 'b')\n"), file=file)
    assert sorted(problems) == ['classes', 'max_iters']


def test_a_child_that_makes_its_own_fields_is_left_alone(tmp_path):
    text = """
max_iters = 100
param_scheduler = [dict(type='PolyLR', by_epoch=False, begin=0, end=max_iters)]
train_cfg = dict(max_iters=max_iters)
model = dict(transition=dict(total_iterations=max_iters))
"""
    assert found(child(tmp_path, text)) == {}


def test_names_that_nothing_reads():
    config = Config.fromfile(DEMO)
    config.merge_from_dict({'optim_wraper.type': 'AmpOptimWrapper'})
    assert found(config) == {'optim_wraper': 'is read by nothing: optim_wrapper may be meant'}


BASE = """
max_iters = 20
norm_cfg = dict(type='BN')
size = (8, 8)
model = dict(type='EncoderDecoder', decode_head=dict(norm_cfg=norm_cfg))
train_cfg = dict(max_iters=max_iters)
"""


def written(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return path


def test_settings_added_to_a_variable():
    """An argument that the fields have not yet."""
    config = Config.fromfile(DEMO)
    config.merge_from_dict({'norm_cfg.momentum': 0.01})
    assert 'norm_cfg.momentum=0.01 instead' in found(config)['norm_cfg']


@pytest.mark.parametrize('given', [{'size': (4, 4)}, {'norm_cfg': {'type': 'GN'}}, {'norm_cfg.eps': 1e-3}])
@pytest.mark.parametrize('suffix', ['.py', '.json', '.yaml'])
def test_a_variable_without_fields_and_files_that_hold_no_program(tmp_path, suffix, given):
    path = tmp_path / f'dumped{suffix}'
    Config.fromfile(written(tmp_path, 'base.py', BASE)).dump(path)
    config = Config.fromfile(path)
    assert found(config) == {}
    config.merge_from_dict(given)
    (name,) = {key.partition('.')[0] for key in given}
    assert list(found(config)) == [name]
    assert 'is read by nothing: set the field that is meant' in found(config)[name]


def test_a_dumped_config_that_records_its_variables_names_the_fields(tmp_path):
    Config.fromfile(CUSTOM).dump(tmp_path / 'dumped.py')
    config = Config.fromfile(tmp_path / 'dumped.py')
    assert found(config) == {}
    config.merge_from_dict({'max_iters': 7})
    assert 'train_cfg.max_iters=7' in found(config)['max_iters']


READ_BASE = 'from mmengine.config import read_base\nwith read_base():\n    from {} import *\n'


def test_pure_python_configs(tmp_path):
    written(tmp_path, 'bases/base.py', f'from torch.optim import AdamW\n{BASE}optimizer = dict(type=AdamW)\n')
    path = written(tmp_path, 'child.py', READ_BASE.format('.bases.base') + 'max_iters = 7\n')
    grandchild = written(tmp_path, 'mine/grandchild.py', READ_BASE.format('..child') + "norm_cfg = dict(type='GN')\n")
    own = written(
        tmp_path, 'own.py', READ_BASE.format('.bases.base') + 'max_iters = 7\ntrain_cfg.update(max_iters=7)\n'
    )
    assert found(Config.fromfile(tmp_path / 'bases/base.py')) == {}
    assert 'train_cfg.max_iters=7 instead' in found(Config.fromfile(path))['max_iters']
    problems = found(Config.fromfile(grandchild))
    assert "decode_head.norm_cfg.type='GN' instead" in problems['norm_cfg']
    assert sorted(problems) == ['max_iters', 'norm_cfg']
    assert found(Config.fromfile(own)) == {}
    config = Config.fromfile(own)
    config.merge_from_dict({'max_iters': 9, 'norm_cfg.type': 'SyncBN'})
    problems = found(config)
    assert sorted(problems) == ['max_iters', 'norm_cfg']
    assert problems['max_iters'].startswith('9 is read by nothing')  # the child has set what followed from it
