"""A test set of its own: its labels are looked at before the training that it is to measure."""

from __future__ import annotations

import shutil
from copy import deepcopy

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


@pytest.mark.parametrize('what', ['labels', 'images', 'folder'])
def test_one_without_labels_or_that_is_not_there_is_left_to_the_test(pair, what):
    root, config = pair
    if what == 'labels':
        del config.test_dataloader.dataset.data_prefix['seg_map_path']
    shutil.rmtree(root / 'test' / {'labels': 'lbl', 'images': 'img', 'folder': ''}[what])
    assert found(config) == []
