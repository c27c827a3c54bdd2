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
