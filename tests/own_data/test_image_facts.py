"""What image files say about themselves."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from rasters import UTM, write_raster

from dlc_mmseg.errors import UserError
from dlc_mmseg.own_data.image_facts import ImageFacts, looks_like_labels, read_facts


def picture(path, mode='RGB', size=(20, 30)):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).convert(mode).save(path)
    return path


@pytest.mark.parametrize(('name', 'mode'), [('a.jpg', 'RGB'), ('a.png', 'RGBA'), ('a.png', 'L'), ('a.bmp', 'RGB')])
def test_pictures_are_three_bands_of_8_bits(tmp_path, name, mode):
    path = picture(tmp_path / name, mode)
    assert read_facts(path) == ImageFacts((20, 30), ('red', 'green', 'blue'), 'uint8', None)
    assert not looks_like_labels(path)


@pytest.mark.parametrize(
    ('image', 'world'), [('a.jpg', 'a.jgw'), ('a.png', 'a.pgw'), ('a.png', 'a.wld'), ('a.jpg', 'a.JGW')]
)
def test_world_files(tmp_path, image, world):
    path = picture(tmp_path / image)
    (tmp_path / world).write_text('0.2\n0\n0\n-0.2\n500000\n5000000\n')
    assert read_facts(path).pixel_size == pytest.approx(0.2)
    (tmp_path / world).write_text('no numbers')
    assert read_facts(path).pixel_size is None


def test_rasters(tmp_path):
    rasterio = pytest.importorskip('rasterio')
    place = rasterio.transform.from_origin(5e5, 5e6, 0.4, 0.4)
    image = np.random.default_rng(0).integers(0, 4000, (20, 30, 4), dtype=np.uint16)
    path = write_raster(tmp_path / 'a.tif', image, crs=UTM, transform=place)
    with rasterio.open(path, 'r+') as file:
        file.descriptions = ('Blue', 'Green', 'Red', 'NIR')
    facts = read_facts(path)
    assert (facts.size, facts.bands, facts.dtype) == ((20, 30), ('blue', 'green', 'red', 'nir'), 'uint16')
    assert facts.pixel_size == pytest.approx(0.4, rel=1e-3)
    assert not looks_like_labels(path)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'int32', 'float32'])
def test_labels(tmp_path, dtype):
    values = np.random.default_rng(0).choice([0, 40, 200], (20, 30)).astype(dtype)
    assert looks_like_labels(write_raster(tmp_path / 'a.tif', values))
    heights = np.random.default_rng(0).random((20, 30)) * 1000
    assert not looks_like_labels(write_raster(tmp_path / 'b.tif', heights.astype(dtype)))


def test_a_broken_file(tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'\xff\xd8\xff and no more')
    with pytest.raises(UserError, match=r'a\.jpg: cannot be read'):
        read_facts(tmp_path / 'a.jpg')
