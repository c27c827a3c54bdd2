"""Labels that are no classes, and classes that do not agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from faults.injecting import SOURCE, TARGET, VALIDATION, each, fault, field_fault, noise, png, shape_labels


@fault(
    'label of another size', '/source/lbl/t00.png', 'label is 8 x 16 pixels', 'image 16 x 16', 'cut images and labels'
)
def _(root: Path, config: Config) -> None:
    png(root / 'source/lbl/t00.png', shape_labels()[:8])


@fault('colour labels', '/source/lbl/t00.png', 'holds RGB colours', 'convert-potsdam')
def _(root: Path, config: Config) -> None:
    png(root / 'source/lbl/t00.png', noise(1, 16, 16, 3))


@fault('16-bit labels', '/source/lbl/t00.png', 'label values 1000, 2000 are none of the 3 source classes', '8-bit')
def _(root: Path, config: Config) -> None:
    png(root / 'source/lbl/t00.png', shape_labels().astype(np.uint16) * 1000)


@fault('fractions as labels', '/source/lbl/t00.tif', 'holds fractions', '8-bit')
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        Image.open(path).save(path.with_suffix('.tif'))
        path.unlink()
    Image.fromarray(shape_labels().astype(np.float32)).save(root / 'source/lbl/t00.tif')
    config.merge_from_dict({f'{SOURCE}.seg_map_suffix': '.tif'})


@fault(
    'label value that is no class',
    '/source/lbl/t00.png',
    'label values 7 are none of the 3 source classes',
    'correct metainfo.classes',
)
def _(root: Path, config: Config) -> None:
    labels = shape_labels()
    labels[0, 0] = 7
    png(root / 'source/lbl/t00.png', labels)


@fault('labels that count from one', '/source/lbl/t00.png', 'label values 3', 'set reduce_zero_label=True')
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        png(path, shape_labels() + 1)


@fault('raw codes of WHU-OPT-SAR', '/source/lbl/t00.png', 'label values 10, 20', 'convert-whuoptsar')
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        png(path, shape_labels() * 10)


@fault(
    'labels from 0 read as if from 1',
    '/source/lbl/t00.png',
    '50% have 0',
    'reduce_zero_label=False',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        png(path, shape_labels())
    for name in (SOURCE, TARGET):
        config.merge_from_dict({f'{name}.reduce_zero_label': True})


@fault('only ignored labels', '/source/lbl', 'hold no pixel of any class', 'correct reduce_zero_label')
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        png(path, np.full((16, 16), 255, np.uint8))


@fault('class that never occurs', '/source/lbl', 'no source label holds car', 'metainfo.classes', severity='warning')
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        png(path, np.minimum(shape_labels(), 1))


@fault('validation labels of other classes', '/validation/lbl/t01.png', 'label values 9', 'validation classes')
def _(root: Path, config: Config) -> None:
    png(root / 'validation/lbl/t01.png', shape_labels() + np.uint8(8) * (shape_labels() == 1))


field_fault(
    'classes differ',
    f'{TARGET}.metainfo.classes',
    ('ground', 'car', 'roof'),
    '(ground, car, roof) differ from (ground, roof, car)',
    'same classes in the same order',
)
field_fault(
    'validation classes differ', f'{VALIDATION}.metainfo.classes', ('a', 'b', 'c'), '(a, b, c) differ', 'same classes'
)
field_fault(
    'one class',
    f'{TARGET}.metainfo',
    {'_delete_': True, 'classes': ('ground',)},
    'fewer than two classes',
    'set metainfo',
    where=TARGET,
)
field_fault(
    'class named twice',
    f'{TARGET}.metainfo.classes',
    ('ground', 'roof', 'roof'),
    'names roof more than once',
    'one name of its own',
    alone=False,
)
field_fault(
    'palette of wrong length',
    f'{SOURCE}.metainfo.palette',
    [[0, 0, 0]],
    'has 1 colours for 3 classes',
    'one RGB colour per class',
)
field_fault(
    'palette that holds no colours',
    f'{SOURCE}.metainfo.palette',
    [[0, 0, 0], [1, 2], [3, 4, 300]],
    '[1, 2] is no colour',
    'three numbers from 0 to 255',
)
field_fault(
    'one colour for two classes',
    f'{TARGET}.metainfo.palette',
    [[0, 0, 0], [9, 9, 9], [9, 9, 9]],
    '[9, 9, 9] stands for more than one class',
    'different colours',
    severity='warning',
)
field_fault('ignored label that is a class', f'{SOURCE}.ignore_index', 2, '2 is the class car', 'set it to 255')
field_fault(
    'num_classes of the head',
    'model.segmentor.decode_head.num_classes',
    6,
    'is 6, the data has 3 classes',
    'set it to 3',
)
field_fault(
    'class weights of wrong length',
    'model.segmentor.decode_head.loss_decode.class_weight',
    [1.0, 2.0],
    'has 2 values for 3 classes',
    'one per class',
)
field_fault(
    'ignored label of a head that is a class',
    'model.segmentor.decode_head.ignore_index',
    0,
    '0 is the class ground',
    'set it to 255',
)
field_fault(
    'padding label that is a class',
    'model.data_preprocessor.seg_pad_val',
    0,
    '0 is the class ground',
    'padded',
    'set it to 255',
)
