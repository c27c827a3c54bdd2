"""Rasters that Pillow cannot read are no faults; those that are cut off or damaged are."""

from __future__ import annotations

import numpy as np
import pytest
from faults.injecting import noise

from dlc_mmseg.checks.image_headers import decode_fault, read_header

rasterio = pytest.importorskip('rasterio', reason='rasterio writes the test files')


def write(path, bands, **options):
    """A GeoTIFF of the given bands, shape (C, H, W)."""
    count, height, width = bands.shape
    size = {'count': count, 'height': height, 'width': width, 'dtype': bands.dtype}
    with rasterio.open(path, 'w', driver='GTiff', **size, **options) as raster:
        raster.write(bands)
    return path


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
@pytest.mark.parametrize(
    ('count', 'dtype', 'options'),
    [
        (4, 'uint16', {'photometric': 'RGB', 'interleave': 'band'}),
        (3, 'uint16', {'interleave': 'band', 'tiled': True, 'blockxsize': 32, 'blockysize': 32}),
        (3, 'float32', {'interleave': 'band'}),
        (1, 'int16', {'interleave': 'band'}),
        (3, 'uint8', {}),
    ],
)
def test_uncompressed_rasters_are_read_unless_they_are_cut_off(tmp_path, count, dtype, options):
    path = write(tmp_path / 'tile.tif', noise(0, count, 64, 64).astype(dtype), **options)
    assert read_header(str(path)).complete
    assert decode_fault(str(path)) is None
    path.write_bytes(path.read_bytes()[:-100])
    assert not read_header(str(path)).complete
    assert 'does not decode' in str(decode_fault(str(path)))


@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
@pytest.mark.parametrize('compress', ['deflate', 'lzw'])
def test_damaged_compressed_rasters_are_found(tmp_path, compress):
    path = write(tmp_path / 'tile.tif', noise(0, 3, 64, 64).astype(np.uint16), photometric='RGB', compress=compress)
    assert decode_fault(str(path)) is None
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    assert read_header(str(path)).complete
    assert 'does not decode' in str(decode_fault(str(path)))
