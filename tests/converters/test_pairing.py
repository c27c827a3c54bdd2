"""Which raw file serves which purpose, and what is reported before anything is written."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dlc_mmseg.converters.pairing import collect_tiles
from dlc_mmseg.converters.potsdam import POTSDAM
from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.converters.vaihingen import VAIHINGEN
from dlc_mmseg.errors import UserError

TRUTH = 'ISPRS_semantic_labeling_Vaihingen_ground_truth'


def files(*names: str) -> list[RawFile]:
    return [RawFile(Path('/raw') / name) for name in names]


def potsdam(*tiles: str, kinds: str = 'RGB IRRG label') -> list[RawFile]:
    return files(*(f'x/top_potsdam_{tile}_{kind}.tif' for tile in tiles for kind in kinds.split()))


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('top_potsdam_2_10_RGB.tif', ('2_10', 'rgb')),
        ('top_potsdam_7_7_IRRG.tif', ('7_7', 'irrg')),
        ('top_potsdam_2_10_label.tif', ('2_10', 'full')),
        ('top_potsdam_02_10_label_noBoundary.TIF', ('2_10', 'eroded')),
        ('top_potsdam_2_10_RGBIR.tif', None),
        ('dsm_potsdam_02_10.tif', None),
        ('top_potsdam_2_10_label.tfw', None),
    ],
)
def test_potsdam_names(name, expected):
    assert POTSDAM.recognise(RawFile(Path(name))) == expected


@pytest.mark.parametrize(
    ('raw', 'expected'),
    [
        (RawFile(Path('v/top/top_mosaic_09cm_area1.tif')), ('area1', 'irrg')),
        (RawFile(Path('v/gts_for_participants/top_mosaic_09cm_area1.tif')), ('area1', 'full')),
        (RawFile(Path('v/top_mosaic_09cm_area1.tif')), ('area1', 'full')),
        (RawFile(Path(f'{TRUTH}_COMPLETE.zip'), ('top_mosaic_09cm_area38.tif',)), ('area38', 'full')),
        (RawFile(Path('v/gt/top_mosaic_09cm_area38_noBoundary.tif')), ('area38', 'eroded')),
        (RawFile(Path('V.zip'), ('V/I.zip', 'top/top_mosaic_09cm_area2.tif')), ('area2', 'irrg')),
        (RawFile(Path('v/dsm/dsm_09cm_matching_area1.tif')), None),
    ],
)
def test_vaihingen_names(raw, expected):
    assert VAIHINGEN.recognise(raw) == expected


@pytest.mark.parametrize(
    ('dataset', 'script', 'counts'),
    [(POTSDAM, 'potsdam.py', (24, 14)), (VAIHINGEN, 'vaihingen.py', (16, 17))],
)
def test_splits_are_those_of_mmseg(dataset, script, counts):
    assert tuple(len(dataset.splits[split]) for split in ('train', 'val')) == counts
    assert len({name for names in dataset.splits.values() for name in names}) == sum(counts)
    import mmseg

    path = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'dataset_converters' / script
    if not path.is_file():
        pytest.skip(f'{path} is not there: this mmseg ships without its tools')
    splits = next(
        ast.literal_eval(node.value)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', '') == 'splits'
    )
    assert {split: sorted(names) for split, names in splits.items()} == {
        split: sorted(names) for split, names in dataset.splits.items()
    }


def test_tiles_come_with_their_split_and_in_its_order():
    tiles, remarks = collect_tiles(potsdam('2_13', '3_10', '2_10', '9_99'), POTSDAM, ('irrg', 'rgb'))
    assert [(tile.name, tile.split) for tile in tiles] == [
        ('2_10', 'train'),
        ('3_10', 'train'),
        ('2_13', 'val'),
    ]
    assert tiles[0].images['rgb'].name == 'top_potsdam_2_10_RGB.tif'
    assert tiles[0].label.name == 'top_potsdam_2_10_label.tif'
    assert remarks == ['Potsdam: 3 of 38 tiles (2 train, 1 val), labels: 3 full']


def test_images_wanted_default_to_those_that_are_there():
    tiles, _ = collect_tiles(potsdam('2_10', kinds='IRRG label'), POTSDAM)
    assert list(tiles[0].images) == ['irrg']
    tiles, _ = collect_tiles(potsdam('2_10'), POTSDAM)
    assert list(tiles[0].images) == ['irrg', 'rgb']


@pytest.mark.parametrize(
    ('found', 'missing'),
    [
        (potsdam('2_10') + potsdam('3_10', kinds='RGB IRRG'), r'3_10 .*top_potsdam_3_10_label\.tif \(5_Labels'),
        (potsdam('2_10') + potsdam('3_10', kinds='label RGB'), r'3_10 .*top_potsdam_3_10_IRRG\.tif \(3_Ortho'),
        (potsdam('2_10') + potsdam('3_10', kinds='label'), r'3_10 .*_IRRG\.tif .* and top_potsdam_3_10_RGB'),
    ],
)
def test_a_missing_file_is_named_with_its_package(found, missing):
    with pytest.raises(UserError, match=f'1 of 2 tiles are incomplete, {missing}.*--skip_incomplete'):
        collect_tiles(found, POTSDAM, ('irrg', 'rgb'))
    tiles, remarks = collect_tiles(found, POTSDAM, ('irrg', 'rgb'), skip_incomplete=True)
    assert [tile.name for tile in tiles] == ['2_10']
    assert remarks[1] == 'Left out as incomplete: 3_10'


def test_bands_asked_for_but_absent_are_missing():
    with pytest.raises(UserError, match=r'1 of 1 tiles are incomplete.*top_potsdam_2_10_RGB\.tif \(2_Ortho_RGB'):
        collect_tiles(potsdam('2_10', kinds='IRRG label'), POTSDAM, ('irrg', 'rgb'))


def test_nothing_found_names_what_was_looked_for():
    with pytest.raises(UserError, match=r'no Vaihingen images found, looked for top/top_mosaic_09cm_\*\.tif'):
        collect_tiles(potsdam('2_10'), VAIHINGEN)
    with pytest.raises(UserError, match='no Potsdam tile has both'):
        collect_tiles(potsdam('2_10', kinds='IRRG'), POTSDAM, skip_incomplete=True)


@pytest.mark.parametrize(
    ('full', 'eroded', 'labels', 'expected'),
    [
        ('1 6', '1 6', 'auto', 'full full'),
        ('1', '1 6', 'auto', 'eroded eroded'),  # mmseg's set-up: participants' labels lie beside the eroded ones
        ('1', '6', 'auto', 'full eroded'),
        ('1 6', '1 6', 'eroded', 'eroded eroded'),
        ('1 6', '1 6', 'full', 'full full'),
    ],
)
def test_choice_between_full_and_eroded_labels(full, eroded, labels, expected):
    found = files(
        *(f'top/top_mosaic_09cm_area{n}.tif' for n in '16'),
        *(f'gts/top_mosaic_09cm_area{n}.tif' for n in full.split()),
        *(f'gts/top_mosaic_09cm_area{n}_noBoundary.tif' for n in eroded.split()),
    )
    tiles, _ = collect_tiles(found, VAIHINGEN, labels=labels)
    assert ['eroded' if 'noB' in tile.label.name else 'full' for tile in tiles] == expected.split()


def test_labels_of_the_kind_asked_for_must_be_there():
    found = files('top/top_mosaic_09cm_area1.tif', 'gts/top_mosaic_09cm_area1_noBoundary.tif')
    with pytest.raises(UserError, match='area1 among them'):
        collect_tiles(found, VAIHINGEN, labels='full')


def test_area9_has_a_label_and_no_image_and_is_no_error():
    found = files(
        'top/top_mosaic_09cm_area1.tif',
        'gt/top_mosaic_09cm_area1_noBoundary.tif',
        'gt/top_mosaic_09cm_area9_noBoundary.tif',
    )
    tiles, _ = collect_tiles(found, VAIHINGEN)
    assert [tile.name for tile in tiles] == ['area1']
