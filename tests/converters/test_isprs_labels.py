"""Label colours to values."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from dlc_mmseg.converters.isprs_labels import COLOURS, encode_colours, read_label, snap_colours
from dlc_mmseg.converters.raw_files import find_raw_files
from dlc_mmseg.converters.tiling import RawTile
from dlc_mmseg.errors import UserError


def tile_of(raw, name='2_10'):
    (file,) = find_raw_files(raw.root)
    return RawTile(name, 'train', {}, file)


def read(raw, name='2_10', max_unknown=0.0, inexact=()):
    return read_label(tile_of(raw, name), max_unknown=max_unknown, inexact=frozenset(inexact))


def test_colours_are_those_of_mmseg_shifted_by_the_unlabelled_zero(palette):
    from mmseg.datasets import PotsdamDataset

    assert [list(colour) for colour in COLOURS[1:]] == PotsdamDataset.METAINFO['palette']
    assert [list(colour) for colour in COLOURS] == palette.tolist()


def test_every_colour_in_every_strip(palette):
    values = np.random.default_rng(0).integers(0, 7, (700, 5))  # 256 rows make a strip
    assert np.array_equal(encode_colours(palette[values]), values)


def test_all_other_colours_are_unknown(palette):
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    brute = np.full((64, 64), 255)
    for value, colour in enumerate(palette):
        brute[(colours == colour).all(-1)] = value
    assert np.array_equal(encode_colours(colours), brute)
    assert (encode_colours(np.array([[(254, 255, 255), (0, 1, 0), (255, 0, 255)]], np.uint8)) == 255).all()


def test_unknown_colour_is_reported_with_place_share_and_remedy(raw, palette):
    colours = palette[np.ones((50, 40), int)]
    colours[7, 9] = (12, 34, 56)
    colours[30, 1] = (12, 34, 57)
    raw.save('l.tif', colours)
    with pytest.raises(UserError) as caught:
        read(raw)
    message = str(caught.value)
    assert 'l.tif: 2 of 2000 pixels' in message
    assert 'row 7, column 9: RGB (12, 34, 56)' in message
    assert '\n' not in message
    assert message.endswith('--max_unknown 1.0e-03')


@pytest.mark.parametrize('count', [1, 3, 7, 333])
def test_the_share_named_in_the_message_is_enough(raw, palette, count):
    colours = palette[np.ones((37, 41), int)]
    colours.reshape(-1, 3)[:count] = (1, 2, 3)
    raw.save('l.tif', colours)
    with pytest.raises(UserError) as caught:
        read(raw)
    share = float(str(caught.value).rsplit(' ', 1)[1])
    values, remarks = read(raw, max_unknown=share)
    assert (values.reshape(-1)[:count] == 0).all()
    assert (values.reshape(-1)[count:] == 1).all()
    assert f'l.tif: {count} pixels (' in remarks[0]
    with pytest.raises(UserError):
        read(raw, max_unknown=0.9 * count / values.size)


def test_recompressed_label_is_matched_where_it_is_known_to_be_so(raw, palette):
    values = np.random.default_rng(2).integers(1, 7, (64, 48))
    noise = np.random.default_rng(3).integers(0, 81, (64, 48, 3))
    colours = np.where(palette[values] == 255, 255 - noise, noise).astype(np.uint8)
    raw.save('l.tif', colours)
    decoded, remarks = read(raw, name='4_12', inexact={'4_12'})
    assert np.array_equal(decoded, values)
    assert 'inexact colours' in remarks[0]
    with pytest.raises(UserError):
        read(raw, name='4_11', inexact={'4_12'})


def test_a_truly_unknown_colour_stays_unknown_in_an_inexact_tile(raw, palette):
    colours = palette[np.full((8, 8), 5)]
    colours[:4] = (252, 255, 0)
    colours[5, 6] = (128, 128, 128)
    raw.save('l.tif', colours)
    with pytest.raises(UserError, match=r'1 of 64 pixels .* row 5, column 6'):
        read(raw, name='6_7', inexact={'6_7'})
    colours[5, 6] = (250, 3, 251)  # near magenta, which is no class
    raw.save('l.tif', colours)
    with pytest.raises(UserError, match='1 of 64 pixels'):
        read(raw, name='6_7', inexact={'6_7'})


def test_snapping_leaves_the_middle_alone():
    colours = np.array([(80, 175, 0), (81, 0, 0), (0, 174, 255)], np.uint8)
    assert snap_colours(colours).tolist() == [[0, 255, 0], [81, 0, 0], [0, 174, 255]]


def recompressed(colours, quality):
    stream = io.BytesIO()
    Image.fromarray(colours).save(stream, 'JPEG', quality=quality)
    return np.array(Image.open(stream))


def soft_edges(colours):
    large = Image.fromarray(colours).resize((128, 128), Image.Resampling.BILINEAR)
    return np.array(large)


@pytest.mark.parametrize(
    'spoil',
    [lambda c: recompressed(c, 50), lambda c: recompressed(c, 98), soft_edges],
    ids=['JPEG', 'JPEG of high quality', 'resampled'],
)
def test_labels_that_lost_their_values_are_never_tolerated(raw, palette, spoil):
    blocks = np.random.default_rng(4).integers(1, 7, (8, 8))
    raw.save('l.png', spoil(palette[np.kron(blocks, np.ones((8, 8), int))]))
    raw.save('l.tif', np.array(Image.open(raw.root / 'l.png')))
    with pytest.raises(UserError, match=r'compressed with loss .*published file') as caught:
        read(raw)
    assert '--max_unknown' not in str(caught.value)


@pytest.mark.parametrize(('count', 'offered'), [(100, True), (512, True), (513, False), (2048, False)])
def test_a_share_that_is_no_noise_is_not_offered_for_tolerance(raw, palette, count, offered):
    colours = palette[np.ones((32, 64), int)]
    colours.reshape(-1, 3)[:count] = (255, 0, 255)
    raw.save('l.tif', colours)
    with pytest.raises(UserError) as caught:
        read(raw)
    assert ('--max_unknown' in caught.value.remedy) == offered
    assert 'published file' in caught.value.remedy or offered


def test_stray_pixels_of_many_colours_may_be_tolerated(raw, palette):
    colours = palette[np.ones((100, 100), int)]
    colours.reshape(-1, 3)[:100] = np.random.default_rng(5).integers(1, 250, (100, 3))
    raw.save('l.tif', colours)
    with pytest.raises(UserError, match=r'--max_unknown 1\.0e-02'):
        read(raw)
