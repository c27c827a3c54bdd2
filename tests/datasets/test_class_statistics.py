from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlc_mmseg.datasets import class_statistics
from dlc_mmseg.datasets.class_statistics import compute_class_statistics, count_tile, load_class_statistics
from dlc_mmseg.datasets.source_labels import _place
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import (
    STATISTICS_FILE_NAME,
    TileStatistics,
    count_labels,
    read_class_statistics,
    write_class_statistics,
)

NAMES = ['a.png', 'sub dir/ö $(b).png']


@pytest.fixture
def ann_dir(tmp_path: Path) -> Path:
    """Two tiles, one of them in a subfolder with an awkward name."""
    root = tmp_path / 'ann'
    (root / 'sub dir').mkdir(parents=True)
    for name, values in zip(NAMES, ([[0, 1, 1]], [[255, 255], [2, 0]]), strict=True):
        Image.fromarray(np.array(values, np.uint8)).save(root / name)
    return root


def _age(path: Path, seconds: float) -> None:
    moment = path.stat().st_mtime - seconds
    os.utime(path, (moment, moment))


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.uint16, np.int64, bool])
def test_count_labels_is_a_plain_count(dtype: type) -> None:
    labels = np.random.default_rng(0).integers(0, 2 if dtype is bool else 120, (37, 21)).astype(dtype)
    assert count_labels(labels) == dict(sorted(Counter(labels.astype(int).ravel().tolist()).items()))


def test_count_labels_refuses_floats() -> None:
    with pytest.raises(ValueError, match='float32'):
        count_labels(np.zeros((2, 2), np.float32))


def test_palette_images_count_indices(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 3]], np.uint8), mode='P')
    image.putpalette([7, 8, 9] * 256)
    image.save(tmp_path / 'p.png')
    assert count_tile(tmp_path / 'p.png') == TileStatistics((2, 2), {0: 1, 1: 2, 3: 1})


def test_file_follows_the_format_and_reads_back(ann_dir: Path) -> None:
    files = compute_class_statistics(ann_dir)
    path = ann_dir / STATISTICS_FILE_NAME
    write_class_statistics(path, files)
    content = json.loads(path.read_text(encoding='utf-8'))
    assert content == {
        'format': 'dlc_mmseg class statistics',
        'version': 1,
        'files': {
            'a.png': {'size': [1, 3], 'counts': {'0': 1, '1': 2}},
            'sub dir/ö $(b).png': {'size': [2, 2], 'counts': {'0': 1, '2': 1, '255': 2}},
        },
    }
    assert read_class_statistics(path) == files
    assert sorted(entry.name for entry in ann_dir.iterdir()) == ['a.png', STATISTICS_FILE_NAME, 'sub dir']


def test_a_failed_write_leaves_the_old_file(ann_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ann_dir / STATISTICS_FILE_NAME
    write_class_statistics(path, {'a.png': TileStatistics((1, 1), {0: 1})})
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(class_statistics.os, 'replace', fail)
    with pytest.raises(OSError, match='No space'):
        write_class_statistics(path, {})
    assert path.read_bytes() == before
    assert len(list(ann_dir.iterdir())) == 3


@pytest.mark.parametrize(
    ('content', 'fault'),
    [
        ('{"format"', 'cannot be read'),
        ('[]', 'not a class statistics file'),
        ('{"format": "other"}', 'not a class statistics file'),
        ('{HEAD "version": 2, "files": {}}', 'version 2'),
        ('{HEAD "version": 1}', 'damaged'),
        ('{HEAD "version": 1, "files": {"a": {"size": [2, 2], "counts": {"0": 3}}}}', 'sum'),
        ('{HEAD "version": 1, "files": {"a": {"size": [0, 2], "counts": {}}}}', 'empty'),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / 's.json'
    path.write_text(content.replace('HEAD', '"format": "dlc_mmseg class statistics",'))
    with pytest.raises(UserError, match=fault) as error:
        read_class_statistics(path)
    assert str(path) in str(error.value)
    assert '\n' not in str(error.value)


def test_unreadable_labels_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / 'broken.png').write_bytes(b'\x89PNG no')
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / 'colour.png')
    for name, fault in (('broken', 'cannot be read'), ('colour', 'shape'), ('none', 'missing')):
        with pytest.raises(UserError, match=rf'{name}\.png.*{fault}'):
            compute_class_statistics(tmp_path, [f'{name}.png'])


def test_counts_are_cached_and_reused(ann_dir: Path, messages: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_class_statistics(ann_dir, NAMES)
    assert len(messages) == 1
    monkeypatch.setattr(class_statistics, 'count_tile', lambda path: pytest.fail(f'{path} was counted again'))
    assert load_class_statistics(ann_dir, NAMES) == first
    assert load_class_statistics(ann_dir, NAMES[:1]) == {'a.png': first['a.png']}
    assert len(messages) == 1


def test_only_new_and_changed_tiles_are_counted(ann_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_class_statistics(ann_dir, NAMES)
    _age(ann_dir / STATISTICS_FILE_NAME, 60)
    _age(ann_dir / NAMES[1], 120)
    Image.fromarray(np.full((2, 2), 4, np.uint8)).save(ann_dir / 'a.png')
    Image.fromarray(np.full((3, 3), 5, np.uint8)).save(ann_dir / 'new.png')
    counted: list[str] = []
    count = class_statistics.count_tile
    monkeypatch.setattr(class_statistics, 'count_tile', lambda path: counted.append(path.name) or count(path))
    statistics = load_class_statistics(ann_dir, [*NAMES, 'new.png'])
    assert sorted(counted) == ['a.png', 'new.png']
    assert statistics['a.png'].counts == {4: 4}
    assert statistics['new.png'].counts == {5: 9}
    assert read_class_statistics(ann_dir / STATISTICS_FILE_NAME) == statistics


def test_splits_of_one_folder_share_the_file_and_lost_tiles_leave_it(ann_dir: Path) -> None:
    load_class_statistics(ann_dir, NAMES[:1])
    load_class_statistics(ann_dir, NAMES[1:])
    assert set(read_class_statistics(ann_dir / STATISTICS_FILE_NAME)) == set(NAMES)
    (ann_dir / 'a.png').unlink()
    load_class_statistics(ann_dir, NAMES[1:])
    assert set(read_class_statistics(ann_dir / STATISTICS_FILE_NAME)) == {NAMES[1]}


def test_read_only_folder_is_counted_in_memory_with_one_warning(ann_dir: Path, messages: list[str]) -> None:
    ann_dir.chmod(0o555)
    try:
        statistics = load_class_statistics(ann_dir, NAMES)
    finally:
        ann_dir.chmod(0o755)
    assert set(statistics) == set(NAMES)
    assert not (ann_dir / STATISTICS_FILE_NAME).exists()
    assert [text for text in messages if 'read-only' in text] == messages[1:]


def test_a_given_file_must_match_and_is_never_written(ann_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / 'given.json'
    write_class_statistics(path, {'a.png': TileStatistics((1, 3), {7: 3})})
    before = path.read_bytes()
    assert load_class_statistics(ann_dir, ['a.png'], path=path)['a.png'].counts == {7: 3}
    with pytest.raises(UserError, match=r'no entry for sub dir'):
        load_class_statistics(ann_dir, NAMES, path=path)
    _age(path, 60)
    with pytest.raises(UserError, match=r'older than a\.png'):
        load_class_statistics(ann_dir, ['a.png'], path=path)
    with pytest.raises(UserError, match='missing'):
        load_class_statistics(ann_dir, ['a.png'], path=tmp_path / 'nowhere.json')
    assert path.read_bytes() == before


def test_names_below_a_label_folder_are_relative_to_it():
    for path, expected in [
        ('data/lbl/a.png', ('data/lbl', 'a.png')),
        ('data/lbl/city/a.png', ('data/lbl', 'city/a.png')),
        ('data/lbl/./city/../a.png', ('data/lbl', 'a.png')),
        ('data/lbl//a.png', ('data/lbl', 'a.png')),
        ('data/lbl2/a.png', ('data/lbl2', 'a.png')),
        ('data/lbl/../other/a.png', ('data/lbl/../other', 'a.png')),
    ]:
        assert _place(path, ['data/lbl']) == expected
