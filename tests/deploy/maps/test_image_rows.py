"""Images read part by part, against what the config's own loader makes of the whole file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image
from rasters import write_raster

from dlc_mmseg.deploy.maps.image_rows import configured_reading, left_out_steps, open_rows
from dlc_mmseg.errors import UserError


def config_with(loader: dict[str, Any], *steps: dict[str, Any]) -> Config:
    pipeline = [loader, *steps, {'type': 'PackSegInputs'}]
    return Config({'test_dataloader': {'dataset': {'type': 'BaseSegDataset', 'pipeline': pipeline}}})


def noise(shape: tuple[int, ...], dtype: str = 'uint8') -> np.ndarray:
    return np.random.default_rng(0).integers(1, 250, shape).astype(dtype)


def files(folder: Path) -> dict[str, Path]:
    rgb, grey, alpha = noise((40, 50, 3)), noise((40, 50)), noise((40, 50))
    alpha[:5] = 0
    pictures = {
        'rgb.png': Image.fromarray(rgb),
        'grey.png': Image.fromarray(grey),
        'rgba.png': Image.fromarray(np.dstack([rgb, alpha])),
        'palette.png': Image.fromarray(rgb).quantize(16),
        'rgb.jpg': Image.fromarray(rgb),
    }
    for name, picture in pictures.items():
        picture.save(folder / name)
    for count in (1, 3, 4, 6):
        write_raster(
            folder / f'u{count}.tif', noise((40, 50, count)), photometric='RGB' if count == 3 else 'MINISBLACK'
        )
    deep = noise((40, 50, 3), 'uint16')
    deep[:3] = 0
    write_raster(folder / 'deep.tif', deep, nodata=0)
    return {path.name: path for path in folder.iterdir()}


RASTER, COLOUR = {'type': 'LoadRasterFromFile'}, {'type': 'LoadImageFromFile'}


@pytest.mark.parametrize(
    ('loader', 'names'),
    [
        (
            RASTER,
            ['rgb.png', 'grey.png', 'rgba.png', 'palette.png', 'rgb.jpg', 'u1.tif', 'u3.tif', 'u6.tif', 'deep.tif'],
        ),
        ({**RASTER, 'bands': [3, 1, 2], 'scale': 0.5}, ['u4.tif', 'u6.tif', 'deep.tif']),
        ({**RASTER, 'bands': [4, 2], 'nodata': 7}, ['u6.tif']),
        (COLOUR, ['rgb.png', 'grey.png', 'palette.png', 'rgb.jpg', 'u1.tif', 'u3.tif']),
        ({**COLOUR, 'color_type': 'grayscale'}, ['rgb.png', 'grey.png', 'u3.tif']),
        ({**COLOUR, 'color_type': 'unchanged'}, ['u1.tif', 'u3.tif']),
    ],
)
def test_parts_equal_what_the_pipeline_loads(tmp_path, loader, names):
    init_default_scope('mmseg')
    paths = files(tmp_path)
    reading = configured_reading(config_with(loader), {})
    for name in names:
        expected = TRANSFORMS.build(loader)({'img_path': str(paths[name])})
        image = expected['img'] if expected['img'].ndim == 3 else expected['img'][..., None]
        with open_rows(str(paths[name]), reading) as rows:
            assert (rows.size, rows.channels) == (image.shape[:2], image.shape[2]), name
            part = rows.read(3, 17, 4, 30)
        tolerance = 1 if 'gray' in str(loader) else 0  # OpenCV rounds grey in fixed point
        np.testing.assert_allclose(
            part.image[~part.nodata], image[3:17, 4:30][~part.nodata], atol=tolerance, err_msg=name
        )
        assert part.image.dtype == image.dtype
        if 'gt_nodata_map' in expected:
            np.testing.assert_array_equal(part.nodata, expected['gt_nodata_map'][3:17, 4:30] > 0)


def test_the_command_line_replaces_the_config(tmp_path):
    path = files(tmp_path)['u6.tif']
    reading = configured_reading(config_with({**RASTER, 'bands': [1, 2]}), {'bands': [6], 'nodata': None})
    with open_rows(str(path), reading) as rows:
        np.testing.assert_array_equal(rows.read(0, 9, 0, 9).image[..., 0], noise((40, 50, 6))[:9, :9, 5])
    with pytest.raises(UserError, match='bands'):
        configured_reading(config_with(RASTER), {'bands': [0]})


def test_an_alpha_band_that_the_model_does_not_take_is_nodata(tmp_path):
    image = noise((8, 9, 4))
    image[:2, :, 3] = 0
    path = str(write_raster(tmp_path / 'a.tif', image, photometric='RGB', alpha='YES'))
    reading = configured_reading(config_with(RASTER), {})
    with open_rows(path, reading, channels=3) as rows:
        image_read, nodata = rows.read(0, 8, 0, 9)
        np.testing.assert_array_equal(image_read, image[..., 2::-1])
        np.testing.assert_array_equal(nodata, image[..., 3] == 0)
    with open_rows(path, reading, channels=4) as rows:
        np.testing.assert_array_equal(rows.read(0, 8, 0, 9).image, image)


def test_what_does_not_fit_is_told(tmp_path):
    paths = files(tmp_path)
    for name, loader, channels, message in (
        ('u6.tif', RASTER, 3, r'gives 6 channels, the model takes 3.*--bands'),
        ('deep.tif', COLOUR, 3, 'holds uint16 values, the config loads 8 bits'),
        ('absent.tif', RASTER, 3, 'cannot be read'),
    ):
        path = str(paths.get(name, tmp_path / name))
        with (
            pytest.raises(UserError, match=message),
            open_rows(path, configured_reading(config_with(loader), {}), channels),
        ):
            pass


def test_steps_that_are_left_out_are_named():
    config = config_with(RASTER, {'type': 'Resize', 'scale': (64, 64)}, {'type': 'LoadAnnotations'})
    assert left_out_steps(config) == ['Resize']
    assert left_out_steps(config_with(RASTER)) == []
