"""Types of a config as names, dotted paths and classes mean the same to the checks."""

from __future__ import annotations

import shutil
from copy import deepcopy
from typing import Any

import pytest
from faults import FAULTS
from mmengine.config import Config
from mmengine.config.lazy import LazyObject
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmseg import registry
from mmseg.registry import DATA_SAMPLERS, MODELS
from tiny_run import run_config, write_pair

from dlc_mmseg.checks import Options, check_config
from dlc_mmseg.checks.config_types import is_kind, resolve, type_name

REGISTRIES = [getattr(registry, name) for name in registry.__all__ if name.isupper() and name != 'RUNNERS']
INSIDE = [
    item for item in FAULTS if not item.where.startswith('/') and not item.full and item.where.partition('.')[2] != ''
]


class OwnSampler(InfiniteSampler):
    """A sampler of a user, not registered."""


@pytest.mark.parametrize(
    'kind',
    [
        'InfiniteSampler',
        'mmengine.InfiniteSampler',
        'mmengine.dataset.sampler.InfiniteSampler',
        'mmengine.dataset.InfiniteSampler',
        InfiniteSampler,
        OwnSampler,
    ],
)
def test_names_paths_and_classes(kind):
    part = {'type': kind}
    assert issubclass(resolve(part, DATA_SAMPLERS), InfiniteSampler)
    assert is_kind(part, DATA_SAMPLERS, InfiniteSampler)
    assert is_kind(part, DATA_SAMPLERS, DefaultSampler, 'InfiniteSampler')
    assert not is_kind(part, DATA_SAMPLERS, DefaultSampler)
    assert type_name(part) == ('OwnSampler' if kind is OwnSampler else 'InfiniteSampler')


def test_objects_of_lazy_configs(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        'from mmengine.dataset import InfiniteSampler\nsampler = dict(type=InfiniteSampler)\n', encoding='utf-8'
    )
    config = Config.fromfile(path, lazy_import=True)
    lazy = config._to_lazy_dict()['sampler']
    assert isinstance(lazy['type'], LazyObject)
    for part in (lazy, config.to_dict()['sampler'], config.sampler):
        assert resolve(part, DATA_SAMPLERS) is InfiniteSampler


@pytest.mark.parametrize('kind', [None, 'Nobody', 'nowhere.Nobody', ''])
def test_what_there_is_not(kind):
    assert resolve({'type': kind}, DATA_SAMPLERS) is None
    assert not is_kind({'type': kind}, DATA_SAMPLERS, InfiniteSampler)
    assert resolve(None, DATA_SAMPLERS) is None


def with_classes(value: Any) -> Any:
    """A config with the classes themselves in place of their names, as pure-Python configs have them."""
    if isinstance(value, dict):
        return {key: with_classes(item) if key != 'type' else _class(item) for key, item in value.items()}
    return type(value)(map(with_classes, value)) if isinstance(value, (list, tuple)) else value


def _class(kind: Any) -> Any:
    found = (resolve(kind, item) for item in REGISTRIES)
    return next((item for item in found if item is not None), kind)


@pytest.fixture(scope='module')
def valid(tmp_path_factory):
    root = tmp_path_factory.mktemp('valid')
    write_pair(root)
    return root, MODELS.build(run_config(root).model.to_dict())


def problems(config: Config, model: Any) -> list[Any]:
    options = Options()
    return check_config(with_classes(deepcopy(config.to_dict())), options, model=model).problems


def test_a_valid_config_of_classes_has_no_problem(valid):
    root, model = valid
    config = with_classes(run_config(root).to_dict())
    assert not isinstance(config['model']['type'], str)
    assert not isinstance(config['param_scheduler'][0]['type'], str)
    assert check_config(config, model=model).problems == []


@pytest.mark.parametrize('item', INSIDE, ids=lambda item: item.name)
def test_faults_of_a_config_of_classes_are_found(valid, item, tmp_path):
    root, model = valid
    shutil.copytree(root, tmp_path, dirs_exist_ok=True)
    config = run_config(tmp_path)
    item.inject(tmp_path, config)
    found = [problem for problem in problems(config, model) if problem.line.startswith(f'{item.where}: ')]
    assert any(all(word in problem.line for word in item.words) for problem in found), found
