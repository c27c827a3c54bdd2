"""What OpenCV makes of rasters is told before training, whatever the loader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image
from rasters import write_raster
from tiny_run import run_config, write_pair

from dlc_mmseg.checks import Options, check_config, stored_images

RASTER = {'type': 'LoadRasterFromFile'}
PACK = {'type': 'PackRasterInputs'}


def replaced(tmp_path: Path, image: np.ndarray, suffix: str = '.tif', **profile: Any) -> Config:
    """A tiny run whose images are all replaced by one raster."""
    write_pair(tmp_path)
    config = run_config(tmp_path)
    for number, path in enumerate(sorted(tmp_path.glob('*/img/*.png'))):
        path.unlink()
        write_raster(path.with_suffix(suffix), np.roll(image, number, axis=1), **profile)
    for dataset in datasets(config):
        dataset.img_suffix = suffix
    return config


def datasets(config: Config) -> tuple[Any, ...]:
    pair = config.train_dataloader.dataset
    return pair.source, pair.target, config.val_dataloader.dataset, config.test_dataloader.dataset


def lines(config: Config, **options: Any) -> list[str]:
    report = check_config(config.to_dict(), Options(**options))
    return [f'{problem.severity}: {problem.line}' for problem in report.problems]


def noise(bands: int, dtype: str = 'uint8', low: int = 1, high: int = 250) -> np.ndarray:
    return np.random.default_rng(0).integers(low, high, (16, 16, bands)).astype(dtype)


@pytest.mark.parametrize('rasterio_there', [True, False])
def test_lost_depth(tmp_path, monkeypatch, rasterio_there):
    config = replaced(tmp_path, noise(3, 'uint16', 200, 3000), photometric='RGB')
    if not rasterio_there:
        monkeypatch.setattr(stored_images.importlib.util, 'find_spec', lambda name: None)
    found = [line for line in lines(config) if 'uint16' in line and 'LoadImageFromFile gives uint8' in line]
    assert len(found) == 3  # source, target, validation
    assert all(line.startswith('error: ') and 'LoadRasterFromFile' in line for line in found)
    assert ('from 2' in found[0]) == rasterio_there  # the range needs the values


@pytest.mark.parametrize(
    ('color', 'bands', 'profile', 'expected'),
    [
        ('color', 4, {'photometric': 'RGB', 'alpha': 'YES'}, 'is called alpha, LoadImageFromFile gives 3'),
        ('color', 4, {'photometric': 'RGB'}, 'has 4 bands, LoadImageFromFile gives 3'),
        ('unchanged', 3, {'interleave': 'band', 'photometric': 'MINISBLACK'}, 'has 3 bands, LoadImageFromFile gives 1'),
        ('color', 2, {}, 'has 2 bands, LoadImageFromFile gives 3'),
        ('color', 5, {}, '(5 bands of uint8) cannot be read by LoadImageFromFile'),
    ],
)
def test_lost_bands(tmp_path, color, bands, profile, expected):
    config = replaced(tmp_path, noise(bands), **profile)
    for dataset in datasets(config):
        dataset.pipeline[0] = {'type': 'LoadImageFromFile', 'color_type': color}
    found = lines(config)
    assert sum(expected in line for line in found) == 3, found
    assert not any('Traceback' in line for line in found)


@pytest.mark.parametrize(
    ('bands', 'dtype', 'profile', 'works'),
    [
        (3, 'uint16', {'photometric': 'RGB'}, True),
        (4, 'uint8', {'photometric': 'RGB'}, True),
        (1, 'uint16', {}, True),
        (3, 'uint16', {'photometric': 'MINISBLACK', 'interleave': 'band'}, False),
    ],
)
def test_opencv_is_offered_where_it_can_read_the_file_as_it_is(tmp_path, bands, dtype, profile, works):
    config = replaced(tmp_path, noise(bands, dtype), **profile)
    found = [line for line in lines(config) if 'LoadImageFromFile gives' in line]
    assert len(found) == 3
    assert all(("color_type='unchanged'" in line) == works for line in found)
    for dataset in datasets(config):
        dataset.pipeline[0] = {'type': 'LoadImageFromFile', 'color_type': 'unchanged'}
    assert any('LoadImageFromFile gives' in line for line in lines(config)) != works  # the offer keeps its word


def test_values_that_are_no_data(tmp_path):
    image = noise(3, 'float32')
    image[:2] = np.nan
    config = replaced(tmp_path, image, photometric='RGB', nodata=np.nan)
    for dataset in datasets(config):
        dataset.pipeline[0] = {'type': 'LoadImageFromFile', 'color_type': 'unchanged'}
    assert any('32 pixels with values that are not finite' in line for line in lines(config))
    image = noise(3)
    image[:4] = 0
    config = replaced(tmp_path / 'b', image, photometric='RGB', nodata=0)
    assert any('holds no data in 25.0% of its pixels' in line for line in lines(config))


def test_only_a_full_check_compares_every_file(tmp_path):
    config = replaced(tmp_path, noise(3), photometric='RGB')
    for number in range(40):
        write_raster(tmp_path / f'target/img/u{number:02d}.tif', noise(3), photometric='RGB')
    write_raster(tmp_path / 'target/img/u17.tif', noise(3, 'uint16', 200, 3000), photometric='RGB')
    assert any('u17.tif' in line for line in lines(config, full=True))


@pytest.mark.parametrize(
    ('image', 'profile'),
    [
        (noise(3, 'uint16', 200, 3000), {'photometric': 'RGB'}),
        (noise(4), {'photometric': 'RGB'}),
        (noise(5, 'float32'), {'interleave': 'band', 'nodata': 7}),
    ],
)
def test_rasters_that_are_loaded_as_they_are_are_no_problem(tmp_path, image, profile):
    bands = image.shape[2]
    config = replaced(tmp_path, image, **profile)
    for dataset in datasets(config):
        dataset.pipeline[0], dataset.pipeline[-1] = RASTER, PACK
    scale = float(image.max())
    config.model.data_preprocessor.update(mean=[scale / 2] * bands, std=[scale / 4] * bands)
    config.model.strong_augmentation.value_range = scale
    config.model.segmentor.backbone.in_channels = bands
    assert lines(config, full=True) == []


def test_pictures_are_no_problem(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    for path in tmp_path.glob('*/img/*.png'):  # opaque
        rgb = np.array(Image.open(path))
        Image.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])).save(path)
    assert lines(config, full=True) == []


def test_packing_that_drops_nodata(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    config.val_dataloader.dataset.pipeline[0] = RASTER
    (found,) = lines(config)
    assert 'val_dataloader.dataset.pipeline' in found
    assert 'PackRasterInputs' in found
