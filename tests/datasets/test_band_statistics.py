from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image
from rasters import write_raster

from dlc_mmseg.datasets import LoadRasterFromFile
from dlc_mmseg.datasets import band_statistics as module
from dlc_mmseg.datasets.band_statistics import (
    BandMoments,
    band_moments,
    load_band_moments,
    pooled_moments,
    shared_statistics,
)
from dlc_mmseg.errors import UserError
from dlc_mmseg.files import remembered


def images(number: int, bands: int = 4, dtype: str = 'float64') -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = [(5 + index, 9, bands) for index in range(number)]
    return [(generator.normal(200, 40, shape) * np.arange(1, bands + 1)).astype(dtype) for shape in shapes]


def test_pooling_equals_all_pixels_at_once():
    parts = images(4)
    together = np.concatenate([image.reshape(-1, 4) for image in parts])
    pooled = pooled_moments(map(band_moments, parts))
    assert pooled.pixels == len(together)
    np.testing.assert_allclose(pooled.mean, together.mean(0), rtol=1e-12)
    np.testing.assert_allclose(pooled.variance, together.var(0), rtol=1e-10)


def test_large_means_cost_no_precision():
    image = 1e6 + np.random.default_rng(0).normal(0, 1e-2, (40, 40, 1))
    np.testing.assert_allclose(band_moments(image).variance, image.var(), rtol=1e-6)


def test_domains_weigh_the_same_whatever_their_size():
    small, large = np.full((2, 2, 1), 10.0), np.concatenate([np.full((9, 90, 1), 20.0), np.full((9, 90, 1), 40.0)])
    mean, std = shared_statistics([band_moments(small), band_moments(large)])
    assert mean == [20]
    assert std == [pytest.approx((0.5 * 100 + 0.5 * (100 + 100)) ** 0.5)]
    with pytest.raises(UserError, match='one value throughout'):
        shared_statistics([band_moments(small)])
    with pytest.raises(UserError, match=r'\[1, 2\] channels'):
        shared_statistics([band_moments(small), BandMoments(1, (0.0, 0.0), (1.0, 1.0))])


@pytest.fixture
def tiles(tmp_path):
    """Three rasters with a corner of no data each."""
    for index, image in enumerate(images(3, 2, 'float32')):
        image[:2, :3] = -9999
        write_raster(tmp_path / f't{index}.tif', image, nodata=-9999)
    return tmp_path


def infos(folder) -> list[dict]:
    return [{'img_path': str(path)} for path in sorted(folder.glob('*.tif'))]


def reads(monkeypatch) -> list[str]:
    seen = []
    original = module._moments_of
    monkeypatch.setattr(
        module, '_moments_of', lambda steps, info: seen.append(info['img_path']) or original(steps, info)
    )
    return seen


def test_pixels_without_data_do_not_count(tiles):
    found = pooled_moments(load_band_moments(infos(tiles), [LoadRasterFromFile()]))
    pixels = []
    for image in images(3, 2, 'float32'):
        counted = np.ones(image.shape[:2], bool)
        counted[:2, :3] = False
        pixels.append(image[counted])
    np.testing.assert_allclose(found.mean, np.concatenate(pixels).mean(0, dtype=float), rtol=1e-6)
    np.testing.assert_allclose(found.variance, np.concatenate(pixels).var(0, dtype=float), rtol=1e-6)


def test_only_what_changed_is_read_again(tiles, monkeypatch):
    seen = reads(monkeypatch)
    first = load_band_moments(infos(tiles), [LoadRasterFromFile()])
    assert len(seen) == 3
    assert load_band_moments(infos(tiles), [LoadRasterFromFile()]) == first
    assert len(seen) == 3
    changed = tiles / 't1.tif'
    write_raster(changed, images(1, 2, 'float32')[0] + 7)
    os.utime(changed, ns=(0, 12345))  # older than the statistics: any change of the time counts
    (tiles / 't2.tif').unlink()
    second = load_band_moments(infos(tiles), [LoadRasterFromFile()])
    assert seen[3:] == [str(changed)]
    assert second[0] == first[0]
    assert second[1] != first[1]
    entries = json.loads((tiles / 'band_statistics.json').read_text())['files']
    assert set(entries) == {'t0.tif', 't1.tif'}


def test_another_way_of_loading_reads_anew(tiles, monkeypatch):
    seen = reads(monkeypatch)
    both = load_band_moments(infos(tiles), [LoadRasterFromFile()])
    second = load_band_moments(infos(tiles), [LoadRasterFromFile(bands=[2])])
    assert len(seen) == 6
    assert [part.mean for part in second] == [part.mean[1:] for part in both]


@pytest.mark.parametrize('content', ['', '{"format": 1', '[]', '{"format": "dlc_mmseg band statistics", "version": 1}'])
def test_damaged_files_are_replaced(tiles, content):
    expected = load_band_moments(infos(tiles), [LoadRasterFromFile()])
    (tiles / 'band_statistics.json').write_text(content)
    assert load_band_moments(infos(tiles), [LoadRasterFromFile()]) == expected
    assert json.loads((tiles / 'band_statistics.json').read_text())['files']


def test_a_folder_that_cannot_be_written_is_said_so(tiles, monkeypatch):
    messages = []
    monkeypatch.setattr(remembered, 'print_log', lambda text, **_: messages.append(text))
    tiles.chmod(0o555)
    try:
        load_band_moments(infos(tiles), [LoadRasterFromFile()])
    finally:
        tiles.chmod(0o755)
    assert 'cannot be kept' in messages[-1]
    assert not (tiles / 'band_statistics.json').exists()


def test_broken_images_are_named(tmp_path):
    (tmp_path / 'a.tif').write_bytes(b'II*\0')
    with pytest.raises(UserError, match=r'a\.tif'):
        load_band_moments(infos(tmp_path), [LoadRasterFromFile()])


def test_pictures_count_too(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (6, 7, 3), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / 'a.png')
    (part,) = load_band_moments([{'img_path': str(tmp_path / 'a.png')}], [LoadRasterFromFile()])
    np.testing.assert_allclose(part.mean, image.reshape(-1, 3).mean(0)[::-1])
