"""A test set of its own: its labels are looked at before the training that it is to measure."""

from __future__ import annotations

import shutil
from copy import deepcopy

import numpy as np
import pytest
from faults.injecting import each, png, shape_labels
from tiny_run import run_config, write_pair

from dlc_mmseg.checks import Options, check_config


@pytest.fixture
def pair(tmp_path):
    write_pair(tmp_path)
    shutil.copytree(tmp_path / 'validation', tmp_path / 'test')
    config = run_config(tmp_path)
    config.test_dataloader.dataset.data_root = str(tmp_path / 'test')
    return tmp_path, config


def found(config):
    return [problem.line for problem in check_config(deepcopy(config.to_dict()), Options(full=True)).problems]


def test_a_valid_one_is_fine(pair):
    assert found(pair[1]) == []


def test_masks_of_0_and_255_are_told(pair):
    root, config = pair
    for path in each(root / 'test/lbl'):
        png(path, (shape_labels() > 0) * shape_labels().dtype.type(255))
    (line,) = found(config)
    assert line.startswith(f'{root}/test/lbl: 255, which is ignored, makes up 50% of the pixels of test labels')


def labels(change):
    """Writes other test labels."""

    def inject(root, _):
        for path in each(root / 'test/lbl'):
            png(path, change(shape_labels()))

    return inject


def rename(kind, number):
    """Gives the first files of test images or labels another ending."""

    def inject(root, _):
        for path in each(root / 'test' / kind)[:number]:
            path.rename(path.with_suffix('.PNG'))

    return inject


def cut_off(root, _):
    path = each(root / 'test/lbl')[0]
    path.write_bytes(path.read_bytes()[:60])


def other_order(_, config):
    metainfo = config.test_dataloader.dataset.metainfo
    metainfo.classes = metainfo.classes[::-1]


def with_byte_order_mark(root, config):
    (root / 'test/split.txt').write_bytes('\ufefft00\r\nt01'.encode())
    config.test_dataloader.dataset.ann_file = 'split.txt'


@pytest.mark.parametrize(
    ('inject', 'words'),
    [
        (labels(lambda a: a * 7), 'label values 7, 14 are none of the 3 test classes'),
        (labels(lambda a: a + 1), 'set reduce_zero_label=True if labels count from 1'),
        (labels(lambda a: np.minimum(a, 1)), 'no test label holds car'),
        (labels(lambda a: np.stack([a] * 3, -1)), 'holds RGB colours instead of class indices'),
        (labels(lambda a: a[:8]), 'label is 8 x 16 pixels (height x width), its test image 16 x 16'),
        (lambda root, _: each(root / 'test/lbl')[0].unlink(), 'label of a test image is missing'),
        (rename('lbl', 2), "set seg_map_suffix='.PNG'"),
        (rename('img', 1), "1 of 2 images are left out, they do not end in '.png'"),
        (cut_off, 'does not decode'),
        (other_order, 'classes (car, roof, ground) differ from (ground, roof, car)'),
        (with_byte_order_mark, 'byte order mark'),
    ],
)
def test_labels_that_are_wrong_are_told_before_the_training(pair, inject, words):
    inject(*pair)
    lines = found(pair[1])
    assert any(words in line for line in lines), lines
    assert not check_config(deepcopy(pair[1].to_dict())).errors  # training needs none of it


@pytest.mark.parametrize('what', ['labels', 'images', 'folder'])
def test_one_without_labels_or_that_is_not_there_is_left_to_the_test(pair, what):
    root, config = pair
    if what == 'labels':
        del config.test_dataloader.dataset.data_prefix['seg_map_path']
    shutil.rmtree(root / 'test' / {'labels': 'lbl', 'images': 'img', 'folder': ''}[what])
    assert found(config) == []
