"""Walking through datasets that hold datasets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlc_mmseg.datasets.nesting import changed_configs, leaf_configs, leaf_datasets, pair_config

NESTED = {
    'type': 'RepeatDataset',
    'dataset': {
        'type': 'ConcatDataset',
        'datasets': [{'type': 'A'}, {'type': 'RepeatDataset', 'dataset': {'type': 'B'}}],
    },
}


def test_leaves_of_built_datasets():
    a, b, c = SimpleNamespace(), SimpleNamespace(), SimpleNamespace()
    nested = SimpleNamespace(dataset=SimpleNamespace(datasets=[a, SimpleNamespace(dataset=b), c]))
    assert list(leaf_datasets(nested)) == [a, b, c]
    assert list(leaf_datasets(a)) == [a]


def test_leaves_of_configs_with_their_fields():
    assert list(leaf_configs(NESTED, 'd')) == [
        ('d.dataset.datasets.0', {'type': 'A'}),
        ('d.dataset.datasets.1.dataset', {'type': 'B'}),
    ]
    assert list(leaf_configs({'type': 'A'}, 'd')) == [('d', {'type': 'A'})]


def test_every_level_is_changed_and_the_config_left_alone():
    changed = changed_configs(NESTED, lambda part: {**part, 'seen': True})
    parts = [changed, changed['dataset'], *changed['dataset']['datasets']]
    assert all(part['seen'] for part in [*parts, parts[-1]['dataset']])
    assert 'seen' not in NESTED['dataset']


@pytest.mark.parametrize('wrappers', [0, 1, 2])
def test_the_pair_is_found_below_wrappers(wrappers):
    pair = dataset = {'type': 'PairedDomainDataset', 'source': {}, 'target': {}}
    for _ in range(wrappers):
        dataset = {'type': 'RepeatDataset', 'dataset': dataset}
    found = pair_config({'train_dataloader': {'dataset': dataset}})
    assert found == ('train_dataloader.dataset' + '.dataset' * wrappers, pair)


@pytest.mark.parametrize('loader', [None, {}, {'dataset': NESTED}, {'dataset': {'type': 'A'}}])
def test_without_a_pair(loader):
    assert pair_config({'train_dataloader': loader}) is None
