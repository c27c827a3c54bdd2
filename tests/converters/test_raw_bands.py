"""Rasters of several bands and depths: the same values whoever decodes them, or a refusal."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pytest

from dlc_mmseg.converters import raw_bands
from dlc_mmseg.converters.raw_bands import read_bands, to_8_bits
from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.errors import UserError

rasterio = pytest.importorskip('rasterio', reason='rasterio writes the test files')


def write(path: Path, array: np.ndarray, **options: object) -> RawFile:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about the missing georeference
        height, width, count = array.shape
        with rasterio.open(
            path, 'w', driver='GTiff', height=height, width=width, count=count, dtype=array.dtype, **options
        ) as raster:
            raster.write(np.moveaxis(array, -1, 0))
    return RawFile(path)


@pytest.fixture(params=['rasterio', 'without'])
def decoder(request, monkeypatch) -> str:
    """Runs a test with rasterio and as if it were not installed."""
    if request.param == 'without':
        find_spec = importlib.util.find_spec
        hidden = lambda name, *rest: None if name == 'rasterio' else find_spec(name, *rest)  # noqa: E731
        monkeypatch.setattr(raw_bands.importlib.util, 'find_spec', hidden)
    return request.param


OPTIONS = [
    {},
    {'photometric': 'RGB'},
    {'photometric': 'RGB', 'alpha': 'yes'},
    {'photometric': 'MINISBLACK'},
    {'compress': 'lzw', 'predictor': 2},
    {'compress': 'deflate'},
    {'interleave': 'band'},
    {'tiled': True, 'blockxsize': 16, 'blockysize': 16},
    {'tiled': True, 'blockxsize': 32, 'blockysize': 32, 'photometric': 'RGB'},
    {'BIGTIFF': 'YES'},
]


def beyond_pillow_and_opencv(dtype: str, count: int, options: dict) -> bool:
    if dtype == 'uint8':
        return count > 1 and options.get('photometric') == 'MINISBLACK'
    if count == 1:
        return 'interleave' in options
    return options.get('photometric') != 'RGB'


@pytest.mark.parametrize('options', OPTIONS, ids=str)
@pytest.mark.parametrize('count', [1, 3, 4])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16'])
def test_values_are_exact_or_the_file_is_refused(tmp_path, decoder, dtype, count, options):
    if (count == 1 and 'photometric' in options) or (count != 4 and 'alpha' in options):
        pytest.skip('no such file')
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (48, 40, count), dtype=dtype)
    raw = write(tmp_path / 'a.tif', array, **options)
    if decoder == 'without' and beyond_pillow_and_opencv(dtype, count, options):
        with pytest.raises(UserError, match=r"needs rasterio: pip install 'dlc-mmseg\[raster\]'"):
            read_bands(raw)
        return
    bands = read_bands(raw)
    assert bands.dtype == array.dtype
    assert np.array_equal(bands, array)


@pytest.mark.parametrize(
    ('count', 'dtype', 'options'),
    [(1, 'uint8', {}), (1, 'uint16', {}), (4, 'uint8', {}), (4, 'uint16', {'photometric': 'RGB'})],
)
def test_common_files_need_no_rasterio(tmp_path, monkeypatch, count, dtype, options):
    monkeypatch.setattr(raw_bands.importlib.util, 'find_spec', lambda name: None)
    array = np.random.default_rng(0).integers(0, 250, (48, 40, count), dtype=dtype)
    assert np.array_equal(read_bands(write(tmp_path / 'a.tif', array, **options)), array)


@pytest.mark.parametrize('compress', ['none', 'lzw', 'deflate'])
@pytest.mark.parametrize(('count', 'dtype'), [(1, 'uint8'), (1, 'uint16'), (4, 'uint8'), (4, 'uint16')])
def test_truncated_file_is_refused(tmp_path, decoder, capfd, count, dtype, compress):
    array = np.random.default_rng(0).integers(0, 250, (96, 80, count), dtype=dtype)
    raw = write(tmp_path / 'a.tif', array, compress=compress, photometric='RGB' if count == 4 else 'MINISBLACK')
    raw.path.write_bytes(raw.path.read_bytes()[: raw.path.stat().st_size * 6 // 10])
    with pytest.raises(UserError, match=r'a\.tif: truncated or damaged image') as caught:
        read_bands(raw)
    assert '\n' not in str(caught.value)


def test_what_is_no_tiff_is_refused(tmp_path, decoder):
    (tmp_path / 'a.tif').write_text('<html>')
    with pytest.raises(UserError, match=r'a\.tif: truncated or damaged image'):
        read_bands(RawFile(tmp_path / 'a.tif'))


def test_eight_bits_stay_as_they_are():
    array = np.random.default_rng(0).integers(0, 256, (5, 6, 4), dtype=np.uint8)
    assert to_8_bits(array, (10, 20)) is array


def test_fixed_range():
    array = np.array([0, 100, 350, 600, 999, 1], np.uint16).reshape(2, 3, 1)
    assert to_8_bits(array, (100, 600)).reshape(-1).tolist() == [0, 0, 128, 255, 255, 0]


def test_percentiles_leave_out_what_is_no_data():
    rng = np.random.default_rng(0)
    array = rng.normal(1000, 100, (200, 200, 2)).astype(np.float32)
    array[..., 1] *= 50
    array[:100] = 0
    array[0, :50] = np.nan
    scaled = to_8_bits(array)
    assert not scaled[:100].any()
    valid = scaled[100:].reshape(-1, 2)
    assert ((valid == 0).mean(0) - 0.02 < 0.005).all()
    assert ((valid == 255).mean(0) - 0.02 < 0.005).all()
    low, high = np.percentile(array[100:], [2, 98], (0, 1))
    expected = ((array[100:] - low) / (high - low) * 255).clip(0, 255)
    assert np.abs(scaled[100:] - expected).max() <= 0.51


def test_constant_and_empty_bands_give_no_nan():
    array = np.zeros((4, 4, 2), np.uint16)
    array[..., 1] = 500
    assert to_8_bits(array).tolist() == np.zeros((4, 4, 2)).tolist()
