"""`dlc-mmseg band-statistics`: what it prints is what a config takes."""

from __future__ import annotations

import re

import numpy as np
from mmengine.config import Config
from rasters import write_raster
from tiny_run import run_config, write_pair

from dlc_mmseg import cli


def stated(text: str) -> tuple[list[float], list[float]]:
    found = re.search(r'mean=\[(.*?)\], std=\[(.*?)\]', text)
    return tuple([float(value) for value in part.split(',')] for part in found.groups())


def test_folders_of_rasters(tmp_path, capsys):
    image = np.random.default_rng(0).integers(300, 4000, (20, 30, 4)).astype('uint16')
    image[:5] = 0
    write_raster(tmp_path / 'a/sub/x.tif', image, nodata=0)
    (tmp_path / 'a/x.tfw').write_text('1')
    assert cli.main(['band-statistics', str(tmp_path / 'a'), '--bands', '4', '1', '2']) == 0
    printed = capsys.readouterr().out
    pixels = image[5:, :, [3, 0, 1]].reshape(-1, 3)
    mean, std = stated(printed)
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(std, pixels.std(0), rtol=1e-5)
    assert 'bgr_to_rgb=True' in printed
    assert '450 pixels with data' in printed


def test_a_config(tmp_path, capsys):
    write_pair(tmp_path)
    path = tmp_path / 'config.py'
    Config(run_config(tmp_path).to_dict()).dump(str(path))
    assert cli.main(['band-statistics', str(path)]) == 0
    printed = capsys.readouterr().out
    assert 'source: 768 pixels' in printed
    assert 'target: 1024 pixels' in printed
    assert len(stated(printed)[0]) == 3


def test_errors_are_one_line(tmp_path, capsys):
    for arguments, word in (
        (['absent'], 'folder'),
        ([str(tmp_path)], 'no image'),
        ([str(tmp_path), '--bands', '0'], 'bands'),
    ):
        assert cli.main(['band-statistics', *arguments]) == 2
        captured = capsys.readouterr().err
        assert captured.count('\n') == 1
        assert word in captured
