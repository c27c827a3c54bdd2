"""The drawn demo data: layout, labels, determinism, classes, the documented gap, and what it refuses to touch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlc_mmseg.cli import main
from dlc_mmseg.converters.demo.drawing import MARKER, SOURCE, TARGET, DemoOptions, draw_tile, make_demo_data
from dlc_mmseg.converters.demo.sensor import cast_shadow
from dlc_mmseg.converters.isprs import collect_tiles
from dlc_mmseg.converters.isprs_labels import COLOURS
from dlc_mmseg.converters.potsdam import POTSDAM
from dlc_mmseg.converters.raw_files import find_raw_files
from dlc_mmseg.converters.vaihingen import VAIHINGEN
from dlc_mmseg.errors import UserError

SMALL = DemoOptions(seed=3, size=96, potsdam_tiles=(2, 1), vaihingen_tiles=(1, 1))
PAVED, BUILDING, LOW_VEGETATION, TREE, CAR = range(5)


def draw(folder: Path, options: DemoOptions = SMALL) -> dict[str, str]:
    """Draw, and return the digest of every picture."""
    list(make_demo_data(folder, options))
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob('*.tif'))
    }


@pytest.fixture(scope='module')
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('demo') / 'raw'
    draw(folder)
    return folder


@pytest.fixture(scope='module')
def domains() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Bands and classes of two tiles a domain, one from each part of the split, large enough to hold every class."""
    options = DemoOptions(seed=0, size=512)
    pictures = {}
    for domain in (SOURCE, TARGET):
        tiles = [draw_tile(domain, domain.splits[part][0], options) for part in ('train', 'val')]
        pictures[domain.name] = np.stack([t[0] for t in tiles]), np.stack([t[1] for t in tiles])
    return pictures


def test_files_have_the_published_names(drawn: Path):
    truth = 'vaihingen/ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE'
    expected = {f'{truth}/top_mosaic_09cm_{area}.tif' for area in ('area1', 'area6')}
    expected |= {f'vaihingen/top/top_mosaic_09cm_{area}.tif' for area in ('area1', 'area6')}
    for tile in ('2_10', '2_11', '5_15'):
        expected |= {
            f'potsdam/2_Ortho_RGB/top_potsdam_{tile}_RGB.tif',
            f'potsdam/3_Ortho_IRRG/top_potsdam_{tile}_IRRG.tif',
            f'potsdam/5_Labels_all/top_potsdam_{tile}_label.tif',
        }
    assert {str(path.relative_to(drawn)) for path in drawn.rglob('*') if path.is_file()} == expected | {MARKER}


def test_converters_find_every_tile_in_its_part(drawn: Path):
    tiles, _ = collect_tiles(find_raw_files(drawn / 'potsdam'), POTSDAM, ('irrg', 'rgb'))
    assert [(tile.name, tile.split) for tile in tiles] == [('2_10', 'train'), ('2_11', 'train'), ('5_15', 'val')]
    tiles, _ = collect_tiles(find_raw_files(drawn / 'vaihingen'), VAIHINGEN, ('irrg',))
    assert [(tile.name, tile.split) for tile in tiles] == [('area1', 'train'), ('area6', 'val')]


def test_pictures_read_back_whole_and_labels_hold_only_legend_colours(drawn: Path):
    legend = set(COLOURS[1:])
    for path in drawn.rglob('*.tif'):
        with Image.open(path) as image:
            assert image.mode == 'RGB'
            array = np.array(image)
        assert array.shape == (96, 96, 3)
        assert array.dtype == np.uint8
        colours = set(map(tuple, np.unique(array.reshape(-1, 3), axis=0).tolist()))
        is_label = 'label' in path.name or 'ground_truth' in path.parent.name
        assert (colours <= legend) == is_label, path


def test_rgb_and_infrared_pictures_share_their_bands(drawn: Path):
    irrg = np.array(Image.open(drawn / 'potsdam/3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif'))
    rgb = np.array(Image.open(drawn / 'potsdam/2_Ortho_RGB/top_potsdam_2_10_RGB.tif'))
    np.testing.assert_array_equal(irrg[..., 1:], rgb[..., :2])


def test_same_seed_gives_the_same_bytes_and_another_seed_other_content(drawn: Path, tmp_path: Path):
    again = draw(tmp_path / 'again')
    assert again == {name: hashlib.sha256((drawn / name).read_bytes()).hexdigest() for name in again}
    other = draw(tmp_path / 'other', DemoOptions(seed=4, size=96, potsdam_tiles=(1, 0), vaihingen_tiles=(1, 0)))
    assert other
    assert all(digest != again[name] for name, digest in other.items())


def test_a_tile_does_not_depend_on_how_many_are_drawn(drawn: Path, tmp_path: Path):
    fewer = draw(tmp_path / 'fewer', DemoOptions(seed=3, size=96, potsdam_tiles=(0, 1), vaihingen_tiles=(0, 1)))
    assert len(fewer) == 5
    for name, digest in fewer.items():
        assert digest == hashlib.sha256((drawn / name).read_bytes()).hexdigest()


def test_no_global_random_state_is_used():
    np.random.seed(0)
    before = np.random.get_state()[1].copy()
    options = DemoOptions(seed=3, size=64)
    first = draw_tile(TARGET, 'area1', options)[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    np.random.seed(1)
    np.testing.assert_array_equal(draw_tile(TARGET, 'area1', options)[0], first)


def test_every_class_is_there_in_reasonable_shares(domains: dict):
    for name, (_, classes) in domains.items():
        shares = np.stack([np.bincount(tile.ravel(), minlength=6) / tile.size for tile in classes])
        assert (shares.mean(0) >= [0.20, 0.08, 0.10, 0.05, 0.01, 0.015]).all(), (name, shares)
        assert shares.mean(0).max() < 0.6
        assert (shares >= [0.15, 0.04, 0.05, 0.02, 0.008, 0.012]).all(), (name, 'each tile', shares)


def test_target_town_has_more_buildings_and_trees_fewer_cars(domains: dict):
    source, target = (np.bincount(domains[name][1].ravel(), minlength=6) for name in ('potsdam', 'vaihingen'))
    assert target[BUILDING] > source[BUILDING]
    assert target[TREE] > source[TREE]
    assert target[CAR] < source[CAR]


def test_spectral_gap_vegetation_is_infrared_bright_and_grey_ground_warmer_in_the_target(domains: dict):
    paved = {}
    for name, (bands, classes) in domains.items():
        green = np.isin(classes, (LOW_VEGETATION, TREE))
        infrared, red = bands[..., 0][green].mean(), bands[..., 1][green].mean()
        assert infrared > 1.5 * red, 'vegetation is bright in the infrared'
        paved[name] = bands[..., 0][classes == PAVED].mean() / bands[..., 1][classes == PAVED].mean()
    assert paved['vaihingen'] > 1.04 * paved['potsdam'], paved


def test_shadows_fall_to_opposite_sides():
    tower = np.zeros((121, 121), np.float32)
    tower[55:66, 55:66] = 10.0
    centres, lengths = {}, {}
    for domain in (SOURCE, TARGET):
        azimuth, elevation = np.deg2rad([domain.camera.azimuth, domain.camera.elevation])
        sun = (np.sin(azimuth) * np.cos(elevation), -np.cos(azimuth) * np.cos(elevation), np.sin(elevation))
        shadow = cast_shadow(tower, 0.5, tuple(map(float, sun)))
        ys, xs = np.nonzero((shadow > 0.5) & (tower == 0))
        centres[domain.name] = xs.mean() - 60
        lengths[domain.name] = 0.5 * (np.hypot(xs - 60, ys - 60).max() - 5.5)
        assert lengths[domain.name] == pytest.approx(10 / np.tan(elevation), abs=2.0)
        assert ys.mean() < 60, 'the sun stands in the south'
    assert centres['potsdam'] < -3 < 3 < centres['vaihingen']
    assert lengths['vaihingen'] > lengths['potsdam']


def test_objects_are_smaller_in_the_target_by_the_ratio_of_the_ground_sampling_distances():
    assert TARGET.ground_sampling / SOURCE.ground_sampling == pytest.approx(9 / 5)


def test_own_folder_is_replaced_without_leftovers(tmp_path: Path):
    folder = tmp_path / 'raw'
    draw(folder)
    (folder / 'notes.txt').write_text('mine')
    fewer = DemoOptions(seed=9, size=64, potsdam_tiles=(1, 0), vaihingen_tiles=(0, 1))
    assert len(draw(folder, fewer)) == 5
    assert (folder / 'notes.txt').read_text() == 'mine'


def test_foreign_folder_is_left_alone(tmp_path: Path):
    (tmp_path / 'photo.tif').write_bytes(b'x')
    with pytest.raises(UserError, match='holds other files than demo data'):
        draw(tmp_path)
    (tmp_path / MARKER).write_text('{"format": "something else"}')
    with pytest.raises(UserError, match='holds other files than demo data'):
        draw(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARKER, 'photo.tif']


def test_output_that_is_a_file_is_refused(tmp_path: Path):
    (tmp_path / 'raw').write_text('')
    with pytest.raises(UserError, match='is a file'):
        draw(tmp_path / 'raw')


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'seed': -1}, '--seed -1'),
        ({'size': 16}, '--size 16'),
        ({'coarsening': 0.5}, '--coarsening 0.5'),
        ({'coarsening': float('nan')}, '--coarsening nan'),
        ({'potsdam_tiles': (25, 1)}, r'--potsdam_tiles \(train\) 25'),
        ({'vaihingen_tiles': (1, 18)}, r'--vaihingen_tiles \(val\) 18'),
        ({'potsdam_tiles': (0, 0), 'vaihingen_tiles': (0, 0)}, 'no tiles'),
    ],
)
def test_options_out_of_range_are_refused(options: dict, message: str):
    with pytest.raises(UserError, match=message):
        DemoOptions(**options)


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('coarsening', [1.0, 8.0])
def test_any_seed_and_scale_can_be_drawn(seed: int, coarsening: float):
    options = DemoOptions(seed=seed, size=64, coarsening=coarsening)
    for domain, tile in ((SOURCE, '6_7'), (TARGET, 'area29')):
        bands, classes = draw_tile(domain, tile, options)
        assert bands.shape == (64, 64, 4)
        assert classes.shape == (64, 64)
        assert bands.std() > 1


def test_command_draws_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / 'raw'
    tiles = ['--potsdam_tiles', '1', '0', '--vaihingen-tiles', '0', '1']
    assert main(['make-demo-data', '--out_dir', str(folder), '--seed', '5', '--size', '64', *tiles]) == 0
    assert '2 tiles of 64 x 64 pixels drawn with seed 5' in capsys.readouterr().out
    assert len(list(folder.rglob('*.tif'))) == 5
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other' / 'file').write_text('')
    assert main(['make-demo-data', '--out_dir', str(tmp_path / 'other')]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'name a new or empty folder' in error


def test_help_documents_the_gap(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(['make-demo-data', '--help'])
    text = ' '.join(capsys.readouterr().out.split())
    for word in ('spectral response', 'shadows', '5 against 9 cm', 'blur', 'noise', 'class shares', 'example'):
        assert word in text, word
