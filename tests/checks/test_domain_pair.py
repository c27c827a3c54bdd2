"""Label maps in place of images are noticed, whatever the type and the size of the images."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
from faults.injecting import noise
from PIL import Image

from dlc_mmseg.checks.domain_files import Domain, Tile
from dlc_mmseg.checks.domain_pair import check_label_maps
from dlc_mmseg.checks.report import Report


def findings(path, pixels):
    """What is found in a domain of three classes with this one image."""
    Image.fromarray(pixels).save(path)
    dataset = SimpleNamespace(metainfo={'classes': ('ground', 'roof', 'car')})
    report = Report()
    check_label_maps(Domain('target', 'target', {}, dataset, [Tile(str(path), None, {}, 0)]), report)
    return [problem.what for problem in report.problems]


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32, np.float32])
@pytest.mark.parametrize('number', [1, 2, 7, 8])
def test_few_values_are_a_label_map(tmp_path, dtype, number):
    pixels = (np.arange(256).reshape(16, 16) % number * 30).astype(dtype)
    expected = [f'target images hold at most {number} colours each, like label maps'] if number in (2, 7) else []
    assert findings(tmp_path / 'tile.tif', pixels) == expected


@pytest.mark.parametrize('number', [2, 9])
def test_few_colours_are_a_label_map(tmp_path, number):
    palette = noise(0, number, 3)
    assert len(findings(tmp_path / 'tile.png', palette[np.arange(256).reshape(16, 16) % number])) == (number == 2)


def test_large_images_are_not_counted_to_the_end(tmp_path):
    pixels = noise(0, 2000, 2000, 3)
    started = time.process_time()
    assert findings(tmp_path / 'tile.bmp', pixels) == []
    assert time.process_time() - started < 1
