"""`dlc-mmseg convert-raster`: tiles against the raster that they were cut from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rasters import UTM, write_raster
from vectors import write_polygons

from dlc_mmseg.cli import main
from dlc_mmseg.converters.raster import cutting
from dlc_mmseg.files.rasters import open_raster
from dlc_mmseg.files.statistics_file import read_class_statistics

rasterio = pytest.importorskip('rasterio')
PLACE = rasterio.transform.from_origin(500_000, 5_000_000, 0.5, 0.5)
SIZE = (70, 90)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def convert(*arguments, out='out'):
    return main(['convert-raster', *map(str, arguments), '--out_dir', str(out), '--clip_size', '32', '--workers', '1'])


def read(path):
    with open_raster(str(path)) as file:
        return np.moveaxis(file.read(), 0, -1), file.profile, file


def put_together(folder, size):
    """The raster that tiles were cut from, by the places in their names."""
    tiles = sorted(Path(folder).glob('*.tif'))
    first = read(tiles[0])[0]
    whole = np.zeros((*size, first.shape[2]), first.dtype)
    for path in tiles:
        left, top, right, bottom = map(int, path.stem.split('_')[-4:])
        whole[top:bottom, left:right] = read(path)[0]
    return whole


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32'])
@pytest.mark.parametrize('bands', [1, 3, 5])
def test_all_bands_types_and_places_are_kept(tmp_path, monkeypatch, random, dtype, bands):
    monkeypatch.chdir(tmp_path)
    image = random.integers(1, 200, (*SIZE, bands)).astype(dtype)
    write_raster(tmp_path / 'a.tif', image, crs=UTM, transform=PLACE, nodata=0)
    assert convert('--dataset_path', 'a.tif') == 0
    assert np.array_equal(put_together('out/img', SIZE), image)
    assert not Path('out/lbl').exists()
    for path in Path('out/img').iterdir():
        _, profile, _ = read(path)
        left, top = map(int, path.stem.split('_')[-4:-2])
        assert profile['dtype'] == dtype
        assert profile['nodata'] == 0
        assert profile['crs'] == rasterio.crs.CRS.from_string(UTM)
        assert profile['transform'] * (0, 0) == (500_000 + 0.5 * left, 5_000_000 - 0.5 * top)


def test_tiles_without_data_are_left_out_and_counted(tmp_path, monkeypatch, random, capsys):
    monkeypatch.chdir(tmp_path)
    image = random.integers(1, 200, (64, 96, 3), dtype=np.uint8)
    image[:, :40] = 0
    write_raster(tmp_path / 'a.tif', image, crs=UTM, transform=PLACE, nodata=0)
    assert convert('--dataset_path', 'a.tif') == 0
    assert 'out: 4 tiles cut, 2 left out (2 without data)' in capsys.readouterr().out
    assert len(list(Path('out/img').iterdir())) == 4
    assert convert('--dataset_path', 'a.tif') == 0
    assert 'out: 4 tiles there already, 2 left out (2 without data)' in capsys.readouterr().out


@pytest.mark.parametrize('kind', ['collar', 'mask', 'nan', 'option', 'alpha'])
def test_every_way_of_saying_that_there_are_no_data(tmp_path, monkeypatch, random, kind):
    monkeypatch.chdir(tmp_path)
    image = random.integers(1, 200, (32, 64, 3)).astype('float32' if kind == 'nan' else 'uint8')
    more = {'crs': UTM, 'transform': PLACE}
    if kind == 'collar':
        image[:, :32] = 0
    elif kind == 'nan':
        image[:, :32] = np.nan
    elif kind == 'option':
        image[:, :32] = 255
    elif kind == 'mask':
        more['mask'] = np.arange(64)[None].repeat(32, 0) >= 40
    else:
        alpha = np.where(np.arange(64) < 40, 0, 255).astype(np.uint8)[None, :, None].repeat(32, 0)
        image = np.concatenate([image, alpha], 2)
        more |= {'photometric': 'rgb', 'alpha': 'yes'}
    write_raster(tmp_path / 'a.tif', image, **more)
    assert convert('--dataset_path', 'a.tif', *(['--nodata', '255'] if kind == 'option' else [])) == 0
    (tile,) = Path('out/img').iterdir()
    with open_raster(str(tile)) as file:
        if kind in ('mask', 'alpha'):
            assert (file.dataset_mask() == 0).sum() == 32 * 8
        assert file.nodata == (255 if kind == 'option' else None)


CODES = np.array([0, 40, 80, 200])


def label(random):
    return random.integers(0, 4, SIZE)


@pytest.mark.parametrize('kind', ['indices', 'codes', 'colours', 'palette', 'float', 'int32', 'png'])
def test_labels_of_every_coding_become_indices(tmp_path, monkeypatch, random, kind):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / 'a.tif', random.integers(1, 200, (*SIZE, 3), dtype=np.uint8), crs=UTM, transform=PLACE)
    truth = label(random)
    colours = np.array([(0, 0, 0), (10, 200, 30), (255, 0, 0), (255, 255, 255)], np.uint8)
    path = tmp_path / ('truth.png' if kind == 'png' else 'truth.tif')
    if kind == 'png':
        Image.fromarray(CODES[truth].astype(np.uint8)).save(path)
    elif kind == 'palette':
        write_raster(path, truth.astype(np.uint8), crs=UTM, transform=PLACE)
        with rasterio.open(path, 'r+') as file:
            file.write_colormap(1, {index: tuple(map(int, colour)) for index, colour in enumerate(colours)})
    else:
        stored = {'indices': truth.astype(np.uint8), 'codes': CODES[truth].astype(np.uint8), 'colours': colours[truth],
                  'float': CODES[truth].astype(np.float32), 'int32': CODES[truth].astype(np.int32)}[kind]  # fmt: skip
        write_raster(path, stored, crs=UTM, transform=PLACE)
    assert convert('--dataset_path', 'a.tif', '--labels', path) == 0
    assert np.array_equal(put_together('out/lbl', SIZE)[..., 0], truth)
    statistics = read_class_statistics('out/lbl/class_statistics.json')
    assert {*statistics} == {path.name for path in Path('out/img').iterdir()}
    with Image.open(next(iter(Path('out/lbl').glob('*.tif')))) as image:  # as training reads it
        assert image.mode == 'P'
        if kind in ('palette', 'colours'):
            assert image.getpalette('RGB')[: 3 * 4] == colours.reshape(-1).tolist()


def test_a_label_on_other_pixels_is_warped(tmp_path, monkeypatch, random):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / 'a.tif', random.integers(1, 200, (64, 64, 3), dtype=np.uint8), crs=UTM, transform=PLACE)
    coarse = np.repeat(np.repeat(random.integers(0, 3, (8, 6), dtype=np.uint8), 1, 0), 1, 1)
    # pixels of 4 m that begin 8 m further west; 6 columns end 16 m (32 pixels) east of the image's border
    place = rasterio.transform.from_origin(500_000 - 8, 5_000_000, 4, 4)
    write_raster(tmp_path / 'truth.tif', coarse, crs=UTM, transform=place)
    assert convert('--dataset_path', 'a.tif', '--labels', 'truth.tif') == 0
    expected = np.repeat(np.repeat(coarse[:, 2:], 8, 0), 8, 1)
    tiles = sorted(Path('out/lbl').glob('*.tif'))
    assert [path.stem for path in tiles] == ['a_0_0_32_32', 'a_0_32_32_64']  # the others have no label
    assert np.array_equal(put_together('out/lbl', (64, 64))[:, :32, 0], expected)


def test_a_label_in_another_reference_system(tmp_path, monkeypatch, random):
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    monkeypatch.chdir(tmp_path)
    truth = np.repeat(np.repeat(random.integers(0, 3, (8, 8), dtype=np.uint8), 8, 0), 8, 1)
    write_raster(tmp_path / 'a.tif', random.integers(1, 200, (64, 64, 3), dtype=np.uint8), crs=UTM, transform=PLACE)
    bounds = rasterio.transform.array_bounds(64, 64, PLACE)
    transform, width, height = calculate_default_transform(UTM, 'EPSG:3857', 64, 64, *bounds, resolution=0.1)
    warped = np.full((height, width), 9, np.uint8)
    reproject(truth, warped, src_transform=PLACE, src_crs=UTM, dst_transform=transform, dst_crs='EPSG:3857',
              resampling=Resampling.nearest, init_dest_nodata=False)  # fmt: skip
    write_raster(tmp_path / 'truth.tif', warped, crs='EPSG:3857', transform=transform, nodata=9)
    assert convert('--dataset_path', 'a.tif', '--labels', 'truth.tif') == 0
    found = put_together('out/lbl', (64, 64))[..., 0]
    assert (found == truth).mean() > 0.95  # edges of pixels may fall to either side


def test_resampling_halves_the_pixels(tmp_path, monkeypatch, random):
    monkeypatch.chdir(tmp_path)
    image = random.integers(1, 200, (64, 128, 3), dtype=np.uint8)
    truth = np.repeat(np.repeat(random.integers(0, 3, (32, 64), dtype=np.uint8), 2, 0), 2, 1)
    write_raster(tmp_path / 'a.tif', image, crs=UTM, transform=PLACE)
    write_raster(tmp_path / 'truth.tif', truth, crs=UTM, transform=PLACE)
    assert convert('--dataset_path', 'a.tif', '--labels', 'truth.tif', '--pixel_size', '1.0') == 0
    found = put_together('out/img', (32, 64))
    expected = image.reshape(32, 2, 64, 2, 3).mean((1, 3))
    assert np.abs(found - expected).max() <= 1
    assert np.array_equal(put_together('out/lbl', (32, 64))[..., 0], truth[::2, ::2])
    _, profile, _ = read(Path('out/img/a_0_0_32_32.tif'))
    assert profile['transform'].a == pytest.approx(1.0)


def test_polygons(tmp_path, monkeypatch, random, capsys):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / 'a.tif', random.integers(1, 200, (64, 64, 3), dtype=np.uint8), crs=UTM, transform=PLACE)
    box = (500_000 + 4, 5_000_000 - 10, 500_000 + 12, 5_000_000 - 2)  # rows 4..20, columns 8..24
    write_polygons(tmp_path / 'a.gpkg', [box], use=['house'])
    arguments = ['--dataset_path', 'a.tif', '--labels', 'a.gpkg', '--class_attribute', 'use', '--background', 'ground']
    assert convert(*arguments) == 0
    labels = put_together('out/lbl', (64, 64))[..., 0]
    assert labels.sum() == 16 * 16
    assert labels[4:20, 8:24].all()
    assert "classes = ('ground', 'house')" in capsys.readouterr().out


def test_a_folder_of_pictures_keeps_their_names(tmp_path, monkeypatch, random):
    monkeypatch.chdir(tmp_path)
    for name in ('a', 'b'):
        Path('in').mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(f'in/{name}.png')
    assert convert('--dataset_path', 'in') == 0
    assert sorted(path.name for path in Path('out/img').iterdir()) == ['a.tif', 'b.tif']
    with Image.open('in/a.png') as image:
        assert np.array_equal(read(Path('out/img/a.tif'))[0], np.asarray(image))


def test_an_interrupted_conversion_goes_on(tmp_path, monkeypatch, random):
    monkeypatch.chdir(tmp_path)
    image = random.integers(1, 200, (96, 64, 3), dtype=np.uint8)
    write_raster(tmp_path / 'a.tif', image, crs=UTM, transform=PLACE)
    real, cut = cutting._encoded_image, []

    def stopped(*arguments):
        if len(cut) == 3:
            raise KeyboardInterrupt
        cut.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(cutting, '_encoded_image', stopped)
    assert convert('--dataset_path', 'a.tif') == 130
    assert not Path('out').exists()
    again = []
    monkeypatch.setattr(cutting, '_encoded_image', lambda *arguments: again.append(1) or real(*arguments))
    assert convert('--dataset_path', 'a.tif') == 0
    assert len(again) == 4  # the first of three strips was done
    assert np.array_equal(put_together('out/img', (96, 64)), image)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--dataset_path', 'nowhere.tif'], 'no such file or folder'),
        (['--dataset_path', 'a.tif', '--pixel_size', '1'], 'does not say how large its pixels are'),
        (['--dataset_path', 'a.tif', '--pixel_size', '-1'], 'is no size'),
        (['--dataset_path', 'a.tif', '--labels', 'small.tif'], 'neither says where it lies'),
        (['--dataset_path', 'a.tif', '--labels', 'a.tif'], 'different colours'),
        (['--dataset_path', 'a.tif', '--labels', 'fraction.tif'], 'holds fractions'),
        (['--dataset_path', 'a.tif', '--labels', 'placed.tif'], 'only one of them has a reference system'),
        (['--dataset_path', 'text.tif'], 'cannot be read as a raster'),
    ],
)
def test_refusals(tmp_path, monkeypatch, random, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / 'a.tif', random.integers(1, 200, (64, 64, 3), dtype=np.uint8))
    write_raster(tmp_path / 'small.tif', random.integers(0, 3, (32, 64), dtype=np.uint8))
    write_raster(tmp_path / 'placed.tif', random.integers(0, 3, (9, 9), dtype=np.uint8), crs=UTM, transform=PLACE)
    write_raster(tmp_path / 'fraction.tif', random.random((64, 64), dtype=np.float32))
    (tmp_path / 'text.tif').write_text('no raster')
    assert convert(*arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len([line for line in error.splitlines() if line]) == 1
    assert not Path('out').exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path, monkeypatch, random, capsys):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / 'a.tif', random.integers(1, 200, (64, 64, 3), dtype=np.uint8), crs=UTM, transform=PLACE)
    assert convert('--dataset_path', 'a.tif') == 0
    assert convert('--dataset_path', 'a.tif', '--pixel_size', '1') == 2
    assert 'was made with other settings (factor differ)' in capsys.readouterr().err
    assert json.loads(Path('out/conversion.json').read_text())['counts'] == {'tiles': 4}


@pytest.mark.parametrize('declared', [True, False])
def test_codes_that_are_too_large_are_refused_but_for_nodata(tmp_path, monkeypatch, random, capsys, declared):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / 'a.tif', random.integers(1, 200, (*SIZE, 3)).astype('uint8'), crs=UTM, transform=PLACE)
    labels = random.integers(0, 3, SIZE).astype('int32')
    labels[:5] = 111_000
    nodata = {'nodata': 111_000} if declared else {}
    write_raster(tmp_path / 'b.tif', labels, crs=UTM, transform=PLACE, **nodata)
    assert convert('--dataset_path', 'a.tif', '--labels', 'b.tif') == (0 if declared else 2)
    if declared:
        assert (put_together('out/lbl', SIZE)[..., 0] == np.where(labels == 111_000, 255, labels)).all()
    else:
        assert 'b.tif: holds 111000' in capsys.readouterr().err


def test_images_whose_tiles_would_share_names_are_refused(tmp_path, monkeypatch, random, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ('rasters/a.tif', 'rasters/a.png.tif', 'rasters/north/b.tif', 'rasters/north_b.tif'):
        write_raster(tmp_path / name, random.integers(1, 200, (*SIZE, 3)).astype('uint8'))
    assert convert('--dataset_path', 'rasters') == 2
    error = capsys.readouterr().err
    assert 'north/b.tif' in error
    assert 'north_b.tif' in error
    (tmp_path / 'rasters/north_b.tif').unlink()
    assert convert('--dataset_path', 'rasters') == 0
