"""A folder of images of which the suffix finds a part only."""

from __future__ import annotations

import numpy as np
import pytest
from rasters import write_raster
from tiny_run import run_config, write_pair

from dlc_mmseg.deploy.noise import image_folder


@pytest.mark.parametrize(('suffix', 'words'), [('.png', '1 of 4 images are left out'), ('.PNG', '3 of 4 images')])
def test_images_of_other_endings_are_told(tmp_path, monkeypatch, suffix, words):
    write_pair(tmp_path)
    (tmp_path / 'target/img/t01.png').rename(tmp_path / 'target/img/t01.PNG')
    said = []
    monkeypatch.setattr(image_folder, 'print_log', lambda text, **_: said.append(text))
    dataset = image_folder.folder_dataset(run_config(tmp_path), tmp_path / 'target/img', None, suffix=suffix)
    assert len(dataset) == {'.png': 3, '.PNG': 1}[suffix]
    assert len(said) == 1
    assert words in said[0]
    assert said[0].endswith('or give another --suffix')


def test_labels_beside_images_are_not(tmp_path, monkeypatch):
    write_pair(tmp_path)
    for path in (tmp_path / 'source/lbl').iterdir():
        path.rename(tmp_path / f'source/img/{path.stem}_label.tif')
    said = []
    monkeypatch.setattr(image_folder, 'print_log', lambda text, **_: said.append(text))
    folder = tmp_path / 'source/img'
    dataset = image_folder.folder_dataset(run_config(tmp_path), folder, folder, label_suffix='_label.tif')
    assert len(dataset) == 3
    assert not said


@pytest.mark.parametrize('loader', ['LoadRasterFromFile', 'LoadImageFromFile'])
def test_a_config_that_tests_on_nothing_keeps_pixels_without_data(tmp_path, loader):
    write_pair(tmp_path)
    image = np.full((16, 16, 3), 90, np.uint8)
    image[:4] = 0
    write_raster(tmp_path / 'city/a.tif', image, nodata=0, photometric='RGB')
    config = run_config(tmp_path, test_dataloader=None, val_dataloader=None)
    pack = 'PackRasterInputs' if loader == 'LoadRasterFromFile' else 'PackSegInputs'
    config.train_dataloader.dataset.target.pipeline = [{'type': loader}, {'type': pack}]
    dataset = image_folder.folder_dataset(config, tmp_path / 'city', None, suffix='.tif')
    sample = dataset[0]['data_samples']
    assert ('nodata_map' in sample) == (loader == 'LoadRasterFromFile')
    if 'nodata_map' in sample:
        np.testing.assert_array_equal(sample.nodata_map.data[0].numpy(), (image == 0).all(-1))
