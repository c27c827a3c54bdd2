"""Images are read whole or refused."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from dlc_mmseg.converters.raw_files import find_raw_files
from dlc_mmseg.converters.raw_images import read_rgb
from dlc_mmseg.errors import UserError


def only(raw):
    (file,) = find_raw_files(raw.root)
    return file


@pytest.mark.parametrize('compression', [None, 'tiff_lzw', 'tiff_adobe_deflate', 'packbits'])
def test_pixels_survive_any_compression(raw, compression):
    raw.image('a.tif', compression=compression)
    assert np.array_equal(read_rgb(only(raw)), raw.images['a.tif'])


def test_palette_is_resolved_and_alpha_left_out(raw):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), 'P')
    image.putpalette([10, 20, 30, 40, 50, 60])
    raw.root.mkdir()
    image.save(raw.root / 'a.tif')
    assert read_rgb(only(raw)).tolist() == [[[10, 20, 30], [40, 50, 60]]]
    raw.save('a.tif', np.array([[[1, 2, 3, 0]]], np.uint8))
    assert read_rgb(only(raw)).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize('compression', [None, 'tiff_lzw', 'tiff_adobe_deflate'])
@pytest.mark.parametrize('share', [0.05, 0.5, 0.97])
def test_truncated_file_is_refused(raw, compression, share):
    raw.image('a.tif', compression=compression)
    path = raw.root / 'a.tif'
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match=r'a\.tif: (truncated|is no image).*again') as caught:
        read_rgb(only(raw))
    assert '\n' not in str(caught.value)


def test_what_is_no_image_is_refused(raw):
    raw.root.mkdir()
    (raw.root / 'a.tif').write_text('<html>log in to download</html>')
    with pytest.raises(UserError, match=r'a\.tif: is no image'):
        read_rgb(only(raw))


@pytest.mark.parametrize(
    ('array', 'problem'),
    [
        (np.zeros((4, 5), np.uint8), r'1 band\(s\), expected three'),
        (np.zeros((4, 5), np.uint16), 'uint16 values, expected 8 bits'),
    ],
)
def test_other_kinds_of_image_are_refused(raw, array, problem):
    raw.save('a.tif', array)
    with pytest.raises(UserError, match=problem):
        read_rgb(only(raw))


def test_bomb_guard_lets_orthophotos_pass_and_is_put_back(raw, monkeypatch):
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)  # 96 x 80 is far more than twice that
    raw.image('a.tif')
    assert np.array_equal(read_rgb(only(raw)), raw.images['a.tif'])
    assert Image.MAX_IMAGE_PIXELS == 100


def test_mosaic_beyond_pillows_own_limit_is_no_bomb(raw):
    raw.root.mkdir()
    image = Image.new('1', (14_000, 14_000))  # one bit per pixel: small on disk
    assert 2 * Image.MAX_IMAGE_PIXELS < 14_000**2
    image.save(raw.root / 'a.tif', compression='group4')
    with pytest.raises(UserError, match='bool values'):  # read whole, then refused for its depth
        read_rgb(only(raw))
