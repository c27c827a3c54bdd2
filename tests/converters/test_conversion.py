"""Raw packages to tiles, through the command line."""

from __future__ import annotations

import importlib.util
import json
import zipfile
import zlib
from argparse import Namespace
from pathlib import Path

import mmcv
import numpy as np
import pytest

from dlc_mmseg.cli import main
from dlc_mmseg.converters.tiling import Cutting
from dlc_mmseg.datasets.class_statistics import compute_class_statistics
from dlc_mmseg.files.statistics_file import read_class_statistics

CUT = ('--clip_size', '32', '--stride_size', '16', '--workers', '1')


def convert(name: str, raw: Path, out: Path, *options: str) -> int:
    return main([f'convert-{name}', '--dataset_path', str(raw), '--out_dir', str(out), *CUT, *options])


def error_of(capsys) -> str:
    """The one line a user gets."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize(('size', 'stride', 'positions'), [(6000, 256, 23), (6000, 512, 12), (512, 256, 1)])
def test_windows_per_axis(size, stride, positions):
    boxes = Cutting(512, stride, None, None, 0).boxes((size, 512))
    assert len(boxes) == positions
    assert boxes[-1].bottom == size


def test_layout_and_every_pixel_of_potsdam(raw, tmp_path):
    raw.potsdam('2_10', '2_13')
    assert convert('potsdam', raw.root, tmp_path / 'o') == 0
    for variant, folder in (('rgb', '2_Ortho_RGB'), ('irrg', '3_Ortho_IRRG')):
        root = tmp_path / 'o' / f'{variant}_32_s16'
        for split, tile in (('train', '2_10'), ('val', '2_13')):
            image = raw.images[f'{folder}/top_potsdam_{tile}_{variant.upper()}.tif']
            labels = raw.labels[f'5_Labels_all/top_potsdam_{tile}_label.tif']
            names = set()
            for top in (0, 16, 32, 48, 64):
                for left in (0, 16, 32, 48):
                    name = f'{tile}_{left}_{top}_{left + 32}_{top + 32}.png'
                    names.add(name)
                    window = np.s_[top : top + 32, left : left + 32]
                    read = mmcv.imread(root / 'img_dir' / split / name)[..., ::-1]
                    assert np.array_equal(read, image[window])
                    read = mmcv.imread(root / 'ann_dir' / split / name, 'unchanged')
                    assert read.dtype == np.uint8
                    assert np.array_equal(read, labels[window])
            assert {path.name for path in (root / 'img_dir' / split).iterdir()} == names
            assert {path.name for path in (root / 'ann_dir' / split).iterdir()} == {*names, 'class_statistics.json'}
        assert sorted(path.name for path in root.iterdir()) == ['ann_dir', 'conversion.json', 'img_dir']


def test_statistics_are_those_of_the_tiles(raw, tmp_path):
    raw.vaihingen('area1', 'area6')
    assert convert('vaihingen', raw.root, tmp_path) == 0
    for split in ('train', 'val'):
        folder = tmp_path / 'irrg_32_s16' / 'ann_dir' / split
        written = read_class_statistics(folder / 'class_statistics.json')
        assert len(written) == 20
        assert written == compute_class_statistics(folder, workers=1)


def load_mmseg_converter(name: str):
    import mmseg

    path = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'dataset_converters' / f'{name}.py'
    if not path.is_file():
        pytest.skip(f'{path} is not there: this mmseg ships without its tools')
    spec = importlib.util.spec_from_file_location(f'mmseg_{name}_converter', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('name', ['potsdam', 'vaihingen'])
def test_files_equal_those_of_mmsegs_converter(raw, tmp_path, name):
    """At stride = window (the only one its Potsdam and Vaihingen converters honour): names and pixels."""
    theirs = tmp_path / 'theirs'
    module, args = load_mmseg_converter(name), Namespace(clip_size=32, stride_size=32)
    if name == 'potsdam':
        raw.potsdam('2_10')
        image, label = '3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif', '5_Labels_all/top_potsdam_2_10_label.tif'
        for path, kind in ((image, 'img_dir'), (label, 'ann_dir')):
            module.clip_big_image(str(raw.root / path), str(theirs / kind), args, to_label=kind == 'ann_dir')
    else:
        module.args = args
        raw.image('top/top_mosaic_09cm_area1.tif')
        raw.label('gt/top_mosaic_09cm_area1_noBoundary.tif')
        for path, kind in (('top/top_mosaic_09cm_area1.tif', 'img_dir'), (*raw.labels, 'ann_dir')):
            module.clip_big_image(str(raw.root / path), str(theirs / kind), to_label=kind == 'ann_dir')
    assert convert(name, raw.root, tmp_path / 'ours', '--stride-size', '32') == 0
    for kind in ('img_dir', 'ann_dir'):
        ours = tmp_path / 'ours' / 'irrg_32_s32' / kind / 'train'
        names = {path.name for path in (theirs / kind).iterdir()}
        assert names == {path.name for path in ours.glob('*.png')}
        assert len(names) == 9
        for file in names:
            flag = 'color' if kind == 'img_dir' else 'unchanged'
            assert np.array_equal(mmcv.imread(ours / file, flag), mmcv.imread(theirs / kind / file, flag))


@pytest.mark.parametrize(('name', 'tiles'), [('potsdam', ('2_10', '2_13')), ('vaihingen', ('area1', 'area6'))])
def test_packages_and_extracted_trees_give_the_same(raw, tmp_path, pack, read_tree, name, tiles):
    getattr(raw, name)(*tiles)
    packages = pack(raw.root, tmp_path / 'packages')
    with zipfile.ZipFile(tmp_path / 'all.zip', 'w', zipfile.ZIP_STORED) as archive:  # as downloaded today
        for path in sorted(packages.iterdir()):
            archive.write(path, f'{name.capitalize()}/{path.name}')
    trees = []
    for number, source in enumerate((raw.root, packages, tmp_path / 'all.zip')):
        assert convert(name, source, tmp_path / str(number)) == 0
        trees.append(read_tree(tmp_path / str(number)))
    assert len(trees[0]) > 80
    assert trees[0] == trees[1] == trees[2]


def test_number_of_workers_does_not_matter(raw, tmp_path, read_tree):
    raw.potsdam('2_10', '2_13', '3_10')
    assert convert('potsdam', raw.root, tmp_path / '1') == 0
    assert convert('potsdam', raw.root, tmp_path / '2', '--workers', '2') == 0
    assert read_tree(tmp_path / '1') == read_tree(tmp_path / '2')


def test_error_in_a_worker_arrives(raw, tmp_path, capsys):
    raw.potsdam('2_10', '2_13')
    raw.save('5_Labels_all/top_potsdam_2_13_label.tif', np.full((96, 80, 3), 7, np.uint8))
    assert convert('potsdam', raw.root, tmp_path / 'o', '--workers', '2') == 2
    assert 'top_potsdam_2_13_label.tif: 7680 of 7680 pixels' in capsys.readouterr().err


def test_image_smaller_than_the_window_is_extended(raw, tmp_path):
    raw.vaihingen('area1', size=(20, 80))
    assert convert('vaihingen', raw.root, tmp_path) == 0
    root = tmp_path / 'irrg_32_s16'
    assert len(list((root / 'img_dir/train').iterdir())) == 4
    image = mmcv.imread(root / 'img_dir/train/area1_48_0_80_32.png')[..., ::-1]
    labels = mmcv.imread(root / 'ann_dir/train/area1_48_0_80_32.png', 'unchanged')
    (drawn,), (classes,) = raw.images.values(), raw.labels.values()
    assert np.array_equal(image[:20], drawn[:, 48:])
    assert np.array_equal(image[20:], drawn[:7:-1, 48:])
    assert np.array_equal(labels[:20], classes[:, 48:])
    assert not labels[20:].any()


def test_size_mismatch_names_both_files(raw, tmp_path, capsys):
    raw.vaihingen('area1')
    raw.label('gt/top_mosaic_09cm_area6.tif', (96, 79))
    raw.image('top/top_mosaic_09cm_area6.tif')
    assert convert('vaihingen', raw.root, tmp_path) == 2
    line = error_of(capsys)
    assert 'top/top_mosaic_09cm_area6.tif: 96 x 80 pixels' in line
    assert 'gt/top_mosaic_09cm_area6.tif has 96 x 79' in line
    assert not (tmp_path / 'irrg_32_s16').exists()


@pytest.mark.parametrize('package', [False, True])
def test_truncated_image_is_named(raw, tmp_path, pack, capsys, package):
    raw.vaihingen('area1')
    path = raw.root / 'ISPRS_semantic_labeling_Vaihingen/top/top_mosaic_09cm_area1.tif'
    path.write_bytes(path.read_bytes()[:9000])
    source = pack(raw.root, tmp_path / 'p') if package else raw.root
    assert convert('vaihingen', source, tmp_path / 'o') == 2
    line = error_of(capsys)
    assert 'top/top_mosaic_09cm_area1.tif: truncated or damaged image' in line
    assert ('ISPRS_semantic_labeling_Vaihingen.zip:' in line) == package


def test_unknown_colours_stop_the_conversion_or_are_tolerated(raw, tmp_path, capsys, palette):
    raw.vaihingen('area1')
    colours = palette[np.ones((96, 80), int)]
    colours[3, 4:8] = (9, 99, 199)
    raw.save('ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE/top_mosaic_09cm_area1.tif', colours)
    assert convert('vaihingen', raw.root, tmp_path) == 2
    assert 'row 3, column 4: RGB (9, 99, 199)' in error_of(capsys)
    assert convert('vaihingen', raw.root, tmp_path, '--max_unknown', '0.001') == 0
    labels = mmcv.imread(tmp_path / 'irrg_32_s16/ann_dir/train/area1_0_0_32_32.png', 'unchanged')
    assert not labels[3, 4:8].any()
    assert labels.sum() == 32 * 32 - 4


def test_missing_files_are_reported_before_anything_is_written(raw, tmp_path, capsys):
    raw.potsdam('2_10', '3_10')
    (raw.root / '5_Labels_all/top_potsdam_3_10_label.tif').unlink()
    assert convert('potsdam', raw.root, tmp_path / 'o') == 2
    assert 'top_potsdam_3_10_label.tif (5_Labels_all.zip)' in error_of(capsys)
    assert not (tmp_path / 'o').exists()
    assert convert('potsdam', raw.root, tmp_path / 'o', '--skip-incomplete') == 0
    assert 'Left out as incomplete: 3_10' in capsys.readouterr().out


def composite(raw, *tiles):
    """Red, green, blue and infrared in one file, as in 4_Ortho_RGBIR."""
    for tile in tiles:
        bands = raw.rng.integers(0, 256, (96, 80, 4), dtype=np.uint8)
        path = raw.root / f'4_Ortho_RGBIR/top_potsdam_{tile}_RGBIR.tif'
        raw.save(str(path.relative_to(raw.root)), bands)
        raw.images[tile] = bands
        raw.label(f'5_Labels_all/top_potsdam_{tile}_label.tif', first=1)


@pytest.mark.parametrize(
    ('option', 'variants', 'bands'),
    [
        ('rgbir', ['rgbir'], [[2, 1, 0, 3]]),  # as OpenCV reads them: blue, green, red, infrared
        ('irrg', ['irrg'], [[1, 0, 3]]),
        ('both', ['irrg', 'rgb'], [[1, 0, 3], [2, 1, 0]]),
    ],
)
def test_all_bands_in_one_file(raw, tmp_path, capsys, option, variants, bands):
    composite(raw, '2_10', '5_15')
    assert convert('potsdam', raw.root, tmp_path / 'o') == 2
    line = error_of(capsys)
    assert 'top_potsdam_*_RGBIR.tif (4_Ortho_RGBIR.zip) found' in line
    assert '--bands rgbir' in line
    assert '--bands irrg or rgb' in line
    assert not (tmp_path / 'o').exists()
    assert convert('potsdam', raw.root, tmp_path / 'o', '--bands', option) == 0
    for variant, order in zip(variants, bands, strict=True):
        tile = mmcv.imread(tmp_path / f'o/{variant}_32_s16/img_dir/train/2_10_16_32_48_64.png', 'unchanged')
        assert np.array_equal(tile, raw.images['2_10'][32:64, 16:48][..., order])
    assert len(list((tmp_path / 'o').glob('[!.]*'))) == len(variants)


def test_a_file_of_its_own_goes_before_one_of_all_bands(raw, tmp_path):
    composite(raw, '2_10', '2_11')
    raw.image('3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif')
    assert convert('potsdam', raw.root, tmp_path, '--bands', 'irrg') == 0
    folder = tmp_path / 'irrg_32_s16/img_dir/train'
    own = raw.images['3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif'][:32, :32, ::-1]
    assert np.array_equal(mmcv.imread(folder / '2_10_0_0_32_32.png'), own)
    assert np.array_equal(mmcv.imread(folder / '2_11_0_0_32_32.png'), raw.images['2_11'][:32, :32, [1, 0, 3]])


def test_other_bands_than_four_are_refused(raw, tmp_path, capsys):
    composite(raw, '2_10')
    raw.image('4_Ortho_RGBIR/top_potsdam_2_10_RGBIR.tif')
    assert convert('potsdam', raw.root, tmp_path, '--bands', 'rgb') == 2
    assert 'has 3 band(s) of uint8, expected red, green, blue and infrared' in error_of(capsys)


def test_output_that_cannot_be_written(raw, tmp_path, capsys):
    raw.potsdam('2_10')
    (tmp_path / 'file').touch()
    assert convert('potsdam', raw.root, tmp_path / 'file' / 'o') == 2
    assert 'cannot be written (Not a directory)' in error_of(capsys)


@pytest.mark.parametrize(
    ('options', 'problem'),
    [
        (('--clip_size', '0'), '--clip_size 0: tiles would have no pixels: give a positive'),
        (('--stride_size', '33'), '--stride_size 33: steps'),
        (('--stride_size', '0'), 'leave pixels out: give 1 to 32'),
        (('--workers', '0'), '--workers 0: nobody would do the work: give at least 1'),
        (('--max_unknown', '1.0'), '--max_unknown 1.0: would pass labels of which more than 50% are unknown: give'),
        (('--max_unknown', '3'), '--max_unknown 3.0: is no share of the pixels: give a number'),
    ],
)
@pytest.mark.parametrize('name', ['potsdam', 'vaihingen'])
def test_impossible_options(raw, tmp_path, capsys, name, options, problem):
    raw.potsdam('2_10')
    assert convert(name, raw.root, tmp_path / 'o', *options) == 2
    assert problem in error_of(capsys)


@pytest.mark.parametrize('name', ['potsdam', 'vaihingen'])
def test_help_has_an_example(capsys, name):
    with pytest.raises(SystemExit) as stopped:
        main([f'convert-{name}', '--help'])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    assert f'python tools/convert_datasets/{name}.py --dataset_path' in text
    for option in ('--dataset_path', '--out_dir', '--clip_size', '--stride_size', '--workers', '--max_unknown'):
        assert option in text
        assert option.replace('_', '-') in text


def test_record_says_what_was_converted(raw, tmp_path):
    raw.vaihingen('area1')
    assert convert('vaihingen', raw.root, tmp_path) == 0
    record = json.loads((tmp_path / 'irrg_32_s16' / 'conversion.json').read_text())
    assert record['settings'] == {'clip_size': 32, 'stride_size': 16, 'dataset': 'Vaihingen'}
    assert record['tiles']['area1']['split'] == 'train'
    data = (raw.root / 'ISPRS_semantic_labeling_Vaihingen/top/top_mosaic_09cm_area1.tif').read_bytes()
    checksum = f'{len(data)}-{zlib.crc32(data):08x}'
    assert record['tiles']['area1']['image'] == f'top_mosaic_09cm_area1.tif {checksum}'
