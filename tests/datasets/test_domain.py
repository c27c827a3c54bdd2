"""Every mistake a user can make with the two datasets ends in one line before training."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny_domains import CLASSES, LABELS, LOAD, PACK, dataset_config, global_states, write_domain, write_tile

from dlc_mmseg.datasets import PairedDomainDataset
from dlc_mmseg.datasets.domain import missing_files
from dlc_mmseg.errors import UserError


def _fault(source: Path, target: Path, /, **arguments: Any) -> str:
    configs = {'source': dataset_config(source), 'target': dataset_config(target, labelled=False)}
    with pytest.raises(UserError) as error:
        PairedDomainDataset(**{**configs, **arguments})
    message = str(error.value)
    assert '\n' not in message
    return message


@pytest.mark.parametrize('domain', ['source', 'target'])
@pytest.mark.parametrize(
    ('changes', 'split', 'expected'),
    [
        ({'data_prefix': {'img_path': 'no', 'seg_map_path': 'lbl'}}, None, r'/no: {} image folder is missing.*img_'),
        ({'img_suffix': '.tif'}, None, r"/img: no {} image ends in '\.tif'.*img_suffix"),
        ({'ann_file': 'nowhere.txt'}, None, r'nowhere\.txt: {} split file is missing.*ann_file'),
        ({'ann_file': 'split.txt'}, '', r"split\.txt: {} split file lists no image.*without '\.png'"),
        ({'ann_file': 'split.txt'}, '\ufefft00\n', r'split\.txt: {} split file: line 1 .* byte order mark.*UTF-8'),
        ({'ann_file': 'split.txt'}, 't00\n\n', r'split\.txt: {} split file: line 2 is an empty line.*remove'),
        ({'ann_file': 'split.txt'}, 't00.png\nt01', r't00\.png\.png: {} image is missing \(1 of 2 are\).*without'),
        ({'metainfo': {'classes': ('one',)}}, None, r'{} dataset names fewer than two classes: set metainfo'),
        ({'metainfo': {}}, None, r'{} dataset names fewer than two classes: set metainfo'),
        ({'metainfo': {'classes': CLASSES, 'palette': [[1, 2, 3]]}}, None, r'{} dataset: palette does not match'),
        ({'type': 'NoSuchDataset'}, None, r'{} dataset: .*NoSuchDataset'),
        ({'img_sufix': '.png'}, None, r'{} dataset: .*img_sufix'),
        ({'pipeline': [LOAD]}, None, r'{} pipeline packs no inputs.*PackSegInputs'),
        ({'pipeline': [PACK, LOAD, {'type': 'Resize'}]}, None, r'{} dataset|{} pipeline fails'),
        ({'pipeline': [LOAD, {'type': 'NoSuchStep'}, PACK]}, None, r'{} dataset: .*NoSuchStep'),
    ],
)
def test_configs_of_either_domain(
    source: Path, target: Path, domain: str, changes: dict[str, Any], split: str | None, expected: str
) -> None:
    root = source if domain == 'source' else target
    if split is not None:
        (root / 'split.txt').write_text(split)
    message = _fault(source, target, **{domain: dataset_config(root, labelled=domain == 'source', **changes)})
    assert re.search(expected.replace('{}', domain), message), message


@pytest.mark.parametrize('serialize', [False, True])
def test_empty_folders(tmp_path: Path, source: Path, target: Path, serialize: bool) -> None:
    (tmp_path / 'empty' / 'img').mkdir(parents=True)
    for domain in ('source', 'target'):
        message = _fault(source, target, **{domain: dataset_config(tmp_path / 'empty', serialize_data=serialize)})
        assert f"{tmp_path}/empty/img: no {domain} image ends in '.png'" in message


def test_different_classes_name_both_lists(source: Path, target: Path) -> None:
    names = {'classes': ('ground', 'car', 'roof')}
    message = _fault(source, target, target=dataset_config(target, labelled=False, metainfo=names))
    assert "source has ['ground', 'roof', 'car'], target has ['ground', 'car', 'roof']" in message


def test_source_labels_must_exist(source: Path, target: Path) -> None:
    unlabelled = dataset_config(source, labelled=False)
    assert 'source has no labels: set data_prefix' in _fault(source, target, source=unlabelled)
    wrong = dataset_config(source, seg_map_suffix='_labels.png')
    assert re.search(r"t00_labels\.png.*4 of 4 are.*'_labels\.png'", _fault(source, target, source=wrong))
    (source / 'lbl' / 't02.png').unlink()
    assert re.search(r't02\.png: label image is missing \(1 of 4', _fault(source, target))
    silent = dataset_config(source, pipeline=[LOAD, PACK])
    write_tile(source, 't02', {1: 5})
    assert 'LoadAnnotations' in _fault(source, target, source=silent)
    crop = {'type': 'RandomCrop', 'crop_size': (8, 8), 'cat_max_ratio': 0.75}
    early = dataset_config(source, pipeline=[LOAD, crop, LABELS, PACK])
    assert re.search(r'source pipeline fails.*"LoadAnnotations"\) before it', _fault(source, target, source=early))


@pytest.mark.parametrize('rare', [None, {}])
def test_label_values_beyond_the_classes(tmp_path: Path, target: Path, rare: Any) -> None:
    source = write_domain(tmp_path / 'strange', [{1: 5}, {1: 5, 3: 7}])
    message = _fault(source, target, rare_class_sampling=rare)
    assert re.search(r'lbl/t01\.png: label values \[3\].*reduce_zero_label=True', message)


@pytest.mark.parametrize('rare', [None, {'min_pixels': 1}])
def test_labels_of_the_release_are_noticed(tmp_path: Path, target: Path, rare: Any, messages: list[str]) -> None:
    source = write_domain(tmp_path / 'release', [{1: 60, 2: 60}])
    configs = dataset_config(source, reduce_zero_label=True), dataset_config(target, labelled=False)
    PairedDomainDataset(*configs, rare)
    assert len([text for text in messages if 'reduce_zero_label=False' in text]) == 1


def test_target_steps_that_need_labels(source: Path, target: Path) -> None:
    crop = {'type': 'RandomCrop', 'crop_size': (8, 8), 'cat_max_ratio': 0.75}
    message = _fault(source, target, target=dataset_config(target, pipeline=[LOAD, LABELS, crop, PACK]))
    assert re.search(r'img/t00\.png: target pipeline fails.*cat_max_ratio', message)


def test_unreadable_images(source: Path, target: Path) -> None:
    (target / 'img' / 't00.png').write_bytes(b'\x89PNG no image')
    assert re.search(r'img/t00\.png: target pipeline fails', _fault(source, target))


def test_different_channels(tmp_path: Path, source: Path) -> None:
    radar = write_domain(tmp_path / 'radar', 2, channels=1)
    load = {'type': 'LoadImageFromFile', 'color_type': 'unchanged'}
    config = dataset_config(radar, labelled=False, pipeline=[load, PACK])
    assert 'source images have 3 channels, target images 1' in _fault(source, radar, target=config)


@pytest.mark.parametrize(
    ('settings', 'field'),
    [({'temprature': 1}, 'temprature'), ({'temperature': -1}, 'temperature'), ({'min_pixels': 'a'}, '')],
)
def test_sampling_settings(source: Path, target: Path, settings: dict[str, Any], field: str) -> None:
    message = _fault(source, target, rare_class_sampling=settings)
    assert message.startswith('rare_class_sampling: ')
    assert field in message


def test_one_statistics_file_for_two_folders(tmp_path: Path, source: Path, target: Path) -> None:
    second = write_domain(tmp_path / 'second', [{1: 3}])
    both = {'type': 'ConcatDataset', 'datasets': [dataset_config(source), dataset_config(second)]}
    message = _fault(source, target, source=both, rare_class_sampling={'statistics': 's.json'})
    assert 'cannot serve 2 label folders' in message


def test_checks_leave_random_numbers_and_folders_alone(source: Path, target: Path) -> None:
    before = global_states(), sorted(source.rglob('*')), sorted(target.rglob('*'))
    PairedDomainDataset(dataset_config(source, augment=True), dataset_config(target, labelled=False, augment=True))
    assert (global_states(), sorted(source.rglob('*')), sorted(target.rglob('*'))) == before


def test_awkward_names_are_found(tmp_path: Path, target: Path) -> None:
    source = tmp_path / 'a b $(c) ü'
    write_tile(source, "tile 'x' #1 é", {1: 20})
    dataset = PairedDomainDataset(dataset_config(source), dataset_config(target, labelled=False), {'min_pixels': 1})
    assert dataset.rare_classes is not None
    assert dataset.rare_classes.counts.tolist() == [[236, 20, 0]]


def test_names_that_a_disk_writes_otherwise_are_not_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / unicodedata.normalize('NFC', 'Größe é.png')
    path.touch()
    monkeypatch.setattr(os, 'listdir', lambda _: [unicodedata.normalize('NFD', path.name)])
    assert missing_files([str(path), f'{path}.png']) == [f'{path}.png']


def test_missing_files_lists_each_folder_once(tmp_path: Path) -> None:
    Image.new('L', (1, 1)).save(tmp_path / 'a.png')
    paths = [str(tmp_path / 'a.png'), str(tmp_path / 'b.png'), str(tmp_path / 'no' / 'c.png'), 's3://bucket/d.png']
    assert missing_files(paths) == paths[1:3]
