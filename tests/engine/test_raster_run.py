"""Training and validation on rasters of five bands, 16 bits and pixels without data, from the files to the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rasters import write_raster
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.checks import Options, check_config


def write_rasters(root: Path, label_without_data: int, value_without_data: int) -> None:
    """The tiny pair as rasters; their upper rows hold no data, whatever is stored there."""
    write_pair(root)
    for number, path in enumerate(sorted(root.glob('*/img/*.png'))):
        path.unlink()
        image = np.random.default_rng(number).integers(300, 4000, (16, 16, 5)).astype('uint16')
        image[:4] = value_without_data
        write_raster(path.with_suffix('.tif'), image, nodata=value_without_data)
    for path in root.glob('*/lbl/*.png'):
        labels = np.array(Image.open(path))
        labels[:4] = label_without_data
        Image.fromarray(labels).save(path)


def outcome(root: Path, label_without_data: int, value_without_data: int) -> tuple[dict, dict]:
    write_rasters(root, label_without_data, value_without_data)
    config = run_config(root)
    pair = config.train_dataloader.dataset
    for dataset in (pair.source, pair.target, config.val_dataloader.dataset, config.test_dataloader.dataset):
        dataset.img_suffix = '.tif'
        dataset.pipeline[0], dataset.pipeline[-1] = {'type': 'LoadRasterFromFile'}, {'type': 'PackRasterInputs'}
    config.model.data_preprocessor.update(mean='auto', std='auto')
    config.model.segmentor.backbone.in_channels = 5
    config.model.strong_augmentation.value_range = 4000
    config.default_hooks.band_statistics = {'type': 'BandStatisticsHook'}
    assert check_config(config.to_dict(), Options(full=True)).problems == []
    runner = runner_of(config)
    runner.train()
    return runner.model.state_dict(), runner.val_loop.run()


def test_what_stands_where_there_is_no_data_changes_neither_weights_nor_scores(tmp_path):
    state, scores = outcome(tmp_path / 'a', label_without_data=0, value_without_data=0)
    other, other_scores = outcome(tmp_path / 'b', label_without_data=2, value_without_data=65535)
    assert scores == pytest.approx(other_scores)
    for name, value in state.items():
        torch.testing.assert_close(value, other[name], msg=name)
    assert state['data_preprocessor.mean'].numel() == 5
    assert 2000 < state['data_preprocessor.mean'].mean() < 2300
