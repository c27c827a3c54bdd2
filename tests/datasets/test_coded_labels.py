"""Labels in codes and colours of their own are read, counted, checked and trained on as classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from mmengine.config import Config
from mmseg.registry import DATASETS
from PIL import Image
from tiny_domains import CLASSES, PALETTE, write_domain
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.checks import Options, check_config
from dlc_mmseg.datasets.label_codes import NO_CLASS, parse_label_map
from dlc_mmseg.datasets.source_labels import class_count_table, count_source
from dlc_mmseg.errors import UserError

COLOURS = {'ground': (255, 255, 255), 'roof': (0, 0, 255), 'car': [(255, 255, 0), (200, 200, 0)], 'ignored': (0, 0, 0)}
CODES = {'ground': 40, 'roof': [80, 1000], 'car': 0, 'ignored': 7}
LOAD, PACK = {'type': 'LoadImageFromFile'}, {'type': 'PackSegInputs'}


def first(codes):
    return codes[0] if isinstance(codes, list) else codes


def recode(root, label_map):
    """Write the labels of `write_domain` in the codes of a map; 255 becomes the ignored one."""
    for path in sorted((root / 'lbl').iterdir()):
        labels = np.array(Image.open(path))
        values = {index: first(label_map[name]) for index, name in enumerate(CLASSES)}
        values[255] = label_map.get('ignored', 255)
        colours = isinstance(values[0], tuple)
        coded = np.zeros((*labels.shape, 3), np.uint8) if colours else np.zeros(labels.shape, np.uint16)
        for index, value in values.items():
            coded[labels == index] = value
        Image.fromarray(coded if colours or coded.max() > 255 else coded.astype(np.uint8)).save(path)


def dataset(root, label_map, **changes):
    return {
        'type': 'CodedLabelDataset', 'data_root': str(root), 'metainfo': {'classes': CLASSES, 'palette': PALETTE},
        'data_prefix': {'img_path': 'img', 'seg_map_path': 'lbl'}, 'img_suffix': '.png', 'label_map': label_map,
        'serialize_data': False, 'pipeline': [LOAD, {'type': 'LoadCodedAnnotations'}, PACK], **changes,
    }  # fmt: skip


@pytest.fixture
def tiles(tmp_path):
    return write_domain(tmp_path / 'source', [{1: 60, 2: 40, 255: 5}, {1: 100, 2: 30}, {1: 30, 2: 20}])


@pytest.mark.parametrize('label_map', [CODES, COLOURS, {'ground': 0, 'roof': 255, 'car': 9, 'ignored': 3}, None])
def test_labels_are_those_that_were_coded(tiles, label_map):
    expected = [np.array(Image.open(path)) for path in sorted((tiles / 'lbl').iterdir())]
    if label_map:
        recode(tiles, label_map)
    built = DATASETS.build(dataset(tiles, label_map))
    for item, labels in zip(built, expected, strict=True):
        assert np.array_equal(item['data_samples'].gt_sem_seg.data[0].numpy(), labels)


def test_several_codes_are_one_class(tiles):
    recode(tiles, CODES | {'roof': 1000})
    labels = DATASETS.build(dataset(tiles, CODES))[0]['data_samples'].gt_sem_seg.data
    assert (labels == 1).sum() == 60


@pytest.mark.parametrize('label_map', [CODES, COLOURS])
def test_training_samples_and_counts_them_as_classes(tmp_path, label_map):
    write_pair(tmp_path)
    for name in ('source', 'validation'):
        recode(tmp_path / name, label_map)
    config = run_config(tmp_path)
    paired = config.train_dataloader.dataset
    paired.source = dataset(tmp_path / 'source', label_map)
    config.val_dataloader.dataset = dataset(tmp_path / 'validation', label_map)
    report = check_config(config.to_dict(), Options(full=True))
    assert [problem.line for problem in report.problems if 'label' in problem.line] == []
    table = DATASETS.build(paired).rare_classes.counts
    assert table.tolist() == [[156, 60, 40], [126, 100, 30], [206, 30, 20]]
    runner = runner_of(config)
    runner.train()
    assert runner.iter == 2
    assert json.loads((tmp_path / 'source/lbl/class_statistics.json').read_text())['files']


@pytest.mark.parametrize(('label_map', 'words'), [(CODES, '9'), (COLOURS, '(9, 9, 9)')])
def test_codes_that_no_class_has_are_named(tmp_path, label_map, words):
    write_pair(tmp_path)
    source = tmp_path / 'source'
    recode(source, label_map)
    path = source / 'lbl' / 't01.png'
    codes = np.array(Image.open(path))
    codes[0, 0] = 9
    Image.fromarray(codes).save(path)
    config = run_config(tmp_path)
    config.train_dataloader.dataset.source = dataset(source, label_map)
    (problem,) = check_config(config.to_dict(), Options(full=True)).errors
    assert str(path) in problem.where
    assert f'label values {words} are not named by label_map: add them to label_map' in problem.line
    with pytest.raises(UserError, match='which label_map does not name: add them to label_map'):
        DATASETS.build(config.train_dataloader.dataset)
    with pytest.raises(UserError, match='which label_map does not name: add it to label_map'):
        DATASETS.build(dataset(source, label_map))[1]


def test_a_value_below_the_number_of_classes_is_no_class_by_itself(tiles):
    recode(tiles, CODES)
    built = DATASETS.build(dataset(tiles, CODES))
    assert (built.label_map[1], built.label_map[2], built.label_map[0]) == (NO_CLASS, NO_CLASS, 2)


def test_masks_of_0_and_255_get_a_remedy_that_works(tmp_path):
    write_pair(tmp_path)
    classes = ('ground', 'building')
    for path in (tmp_path / 'source' / 'lbl').iterdir():
        Image.fromarray(np.where(np.array(Image.open(path)) == 1, 255, 0).astype(np.uint8)).save(path)

    def report(label_map):
        config = Config(run_config(tmp_path).to_dict())
        meta = {'classes': classes, 'palette': PALETTE[:2]}
        paired = config.train_dataloader.dataset
        paired.source = dataset(tmp_path / 'source', label_map, metainfo=meta)
        paired.target.metainfo = meta
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
        config.model.segmentor.decode_head.num_classes = 2
        return check_config(config.to_dict(), Options(full=True))

    (problem,) = report(None).errors
    assert 'if 255 means building, write 1 in its place or name 255 in the label_map' in problem.line
    assert report({'ground': 0, 'building': 255}).errors == []


@pytest.mark.parametrize(
    ('label_map', 'words'),
    [
        ({'ground': 0, 'roofs': 1, 'car': 2}, "names 'roofs', which is none of the classes: 'roof' may be meant"),
        ({'ground': 0, 'roof': 1}, "gives no code of 'car': add 'car'; a class without pixels has the empty list"),
        ({'ground': 0, 'roof': 0, 'car': 2}, 'gives 0 to two classes'),
        ({'ground': 0, 'roof': (1, 1, 1), 'car': 2}, 'mixes codes and colours'),
        ({'ground': 0, 'roof': (1, 1, 999), 'car': 2}, "has (1, 1, 999) for 'roof', which is neither code nor colour"),
        ({'ground': 0, 'roof': 'red', 'car': 2}, 'which is neither code nor colour: give a number from 0 to 65535'),
    ],
)
def test_maps_that_contradict_themselves(label_map, words):
    with pytest.raises(UserError) as caught:
        parse_label_map(label_map, CLASSES)
    assert words in str(caught.value)


def test_labels_of_a_part_of_the_images(tiles):
    (tiles / 'val.txt').write_text('t01\n')
    pipeline = [LOAD, {'type': 'LoadCodedAnnotations', 'optional': True}, PACK]
    built = DATASETS.build(dataset(tiles, None, label_split='val.txt', pipeline=pipeline))
    assert ['gt_sem_seg' in item['data_samples'] for item in built] == [False, True, False]
    with pytest.raises(UserError, match='split file is missing: correct label_split'):
        DATASETS.build(dataset(tiles, None, label_split='none.txt'))
    with pytest.raises(UserError, match='leave out reduce_zero_label'):
        DATASETS.build(dataset(tiles, CODES, reduce_zero_label=True))
    recode(tiles, COLOURS)
    with pytest.raises(UserError, match='has 3 channels, but label_map has codes: give label_map colours'):
        DATASETS.build(dataset(tiles, CODES))[0]


def test_labels_in_values_and_in_colours_may_be_joined(tmp_path):
    counts = [{1: 60, 2: 40}, {1: 100, 2: 30}]
    for name, label_map in (('codes', CODES), ('colours', COLOURS)):
        recode(write_domain(tmp_path / name, counts), label_map)
    parts = [dataset(tmp_path / 'codes', CODES), dataset(tmp_path / 'colours', COLOURS)]
    joined = DATASETS.build({'type': 'ConcatDataset', 'datasets': parts, 'ignore_keys': 'label_map'})
    found = class_count_table(count_source(joined), len(CLASSES))
    assert found.tolist() == [[156, 60, 40], [126, 100, 30]] * 2
