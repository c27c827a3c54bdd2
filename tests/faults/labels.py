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


def masks(root: Path, *domains: str, values: tuple[int, ...] = (0, 255)) -> None:
    """Labels of the given values in place of classes."""
    for domain in domains:
        for path in each(root / domain / 'lbl'):
            png(path, np.array(values, np.uint8)[np.minimum(shape_labels(), len(values) - 1)])


def two_classes(config: Config) -> None:
    for name in (SOURCE, TARGET, VALIDATION):
        config.merge_from_dict({f'{name}.metainfo': {'classes': ('ground', 'roof'), 'palette': [[0] * 3, [255] * 3]}})
    config.merge_from_dict({'model.segmentor.decode_head.num_classes': 2})


@fault(
    'masks of 0 and 255', '/source/lbl', '255, which is ignored, makes up 50%', 'none is roof', 'write 1 in its place'
)
def _(root: Path, config: Config) -> None:
    two_classes(config)
    masks(root, 'source')
    masks(root, 'validation', values=(0, 1))


@fault('validation masks of 0 and 255', '/validation/lbl', '255, which is ignored, makes up 50%', 'if 255 means roof')
def _(root: Path, config: Config) -> None:
    two_classes(config)
    masks(root, 'source', values=(0, 1, 255))
    masks(root, 'validation')


@fault('255 for one of several classes', '/source/lbl', 'none is car', 'if 255 means car, write 2', severity='warning')
def _(root: Path, config: Config) -> None:
    masks(root, 'source', values=(0, 1, 255))


@fault(
    '255 for the last class of labels that count from 1', '/source/lbl', 'none is car', 'write 3', severity='warning'
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({f'{name}.reduce_zero_label': True for name in (SOURCE, VALIDATION)})
    masks(root, 'source', values=(1, 2, 255))
    masks(root, 'validation', values=(1, 2, 3))


@fault(
    'grey levels for classes',
    '/source/lbl/t00.png',
    'label values 128 are none',
    '255, which is ignored',
    'name the codes',
)
def _(root: Path, config: Config) -> None:
    masks(root, 'source', values=(0, 128, 255))


@fault(
    'round grey levels',
    '/source/lbl/t00.png',
    'label values 100, 200 are none',
    "{'ground': 0, 'roof': 100, 'car': 200}",
)
def _(root: Path, config: Config) -> None:
    masks(root, 'source', values=(0, 100, 200))


@fault(
    'class that validation never has',
    '/validation/lbl',
    'no validation label holds car',
    'left out of the mean',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    masks(root, 'validation', values=(0, 1))


def as_jpeg(root: Path, config: Config, scale: int) -> None:
    for path in each(root / 'source/lbl'):
        labels = np.random.default_rng(0).integers(0, 3, (16, 16), dtype=np.uint8)
        Image.fromarray(labels * np.uint8(scale)).save(path.with_suffix('.jpg'), quality=95)
        path.unlink()
    config.merge_from_dict({f'{SOURCE}.seg_map_suffix': '.jpg'})


@fault('labels compressed with loss', '/source/lbl/t00.jpg', 'are none of the 3 source classes', 'as PNG', alone=False)
def _(root: Path, config: Config) -> None:
    as_jpeg(root, config, 120)


@fault('labels in JPEG', '/source/lbl/t00.jpg', 'is compressed with loss', severity='warning', alone=False)
def _(root: Path, config: Config) -> None:
    as_jpeg(root, config, 1)


def with_palette(root: Path, config: Config, *colours: tuple[int, int, int]) -> None:
    """Palette images, decoded by OpenCV."""
    for path in each(root / 'source/lbl'):
        image = Image.fromarray(shape_labels()).convert('P')
        image.putpalette([value for colour in colours for value in colour])
        image.save(path)
    config.merge_from_dict({f'{SOURCE}.pipeline.1.imdecode_backend': 'cv2'})


@fault(
    'palette decoded as colours',
    f'{SOURCE}.pipeline',
    'gives labels of shape (16, 16, 3), the file holds one channel with 0, 1, 2',
    "imdecode_backend='pillow'",
)
def _(root: Path, config: Config) -> None:
    with_palette(root, config, (0, 0, 0), (0, 255, 255), (255, 0, 0))


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
    'text in place of class names',
    f'{SOURCE}.metainfo',
    {'_delete_': True, 'classes': 'ground'},
    "'ground' is no list of names and no file",
    "('ground', 'roof')",
    where=f'{SOURCE}.metainfo.classes',
    alone=False,
)


@fault(
    'class names of a file with a mark',
    f'{SOURCE}.metainfo.classes',
    "'\\ufeffground', the name of class 0",
    alone=False,
)
def _(root: Path, config: Config) -> None:
    (root / 'classes.txt').write_text('\ufeffground\nroof\ncar\n', encoding='utf-8')
    config.merge_from_dict({f'{SOURCE}.metainfo': {'_delete_': True, 'classes': str(root / 'classes.txt')}})


@fault('class names of a file with an empty line', f'{SOURCE}.metainfo.classes', "'', the name of class 3", alone=False)
def _(root: Path, config: Config) -> None:
    (root / 'classes.txt').write_text('ground\nroof\ncar\n\n', encoding='utf-8')
    config.merge_from_dict({f'{SOURCE}.metainfo': {'_delete_': True, 'classes': str(root / 'classes.txt')}})


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
field_fault(
    'padding label that the head does not ignore',
    'model.data_preprocessor.seg_pad_val',
    254,
    'is 254, model.segmentor.decode_head.ignore_index 255: padded pixels, 254, are none of its classes',
    'set it to 255',
)
field_fault(
    'ignored label of a dataset that the head does not ignore',
    f'{SOURCE}.ignore_index',
    200,
    'is 200, model.segmentor.decode_head.ignore_index 255: labels of 200',
    'set it to 255',
)
field_fault(
    'evaluator that ignores another label',
    'val_evaluator.ignore_index',
    254,
    'is 254, model.segmentor.decode_head.ignore_index 255',
    'in mIoU',
    'set it to 255',
    severity='warning',
)
field_fault(
    'evaluator that ignores a class',
    'test_evaluator.ignore_index',
    0,
    'is 0, model.segmentor.decode_head.ignore_index 255',
    severity='warning',
)


@fault(
    'head that ignores another label than all others',
    'model.data_preprocessor.seg_pad_val',
    'is 255, model.segmentor.decode_head.ignore_index 254',
    'set it to 254 too, or all ignored labels to 255',
    alone=False,
)
@fault('dataset beside it', f'{VALIDATION}.ignore_index', 'is 255, model.segmentor', 'set it to 254 too', alone=False)
@fault('evaluator beside it', 'val_evaluator.ignore_index', 'is 255, model.', severity='warning', alone=False)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'model.segmentor.decode_head.ignore_index': 254})


@fault(
    'zeros that become 255 for a head that ignores another label',
    f'{SOURCE}.reduce_zero_label',
    'is 255, model.segmentor.decode_head.ignore_index 254',
    'set all ignored labels to 255, which reduce_zero_label',
    alone=False,
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'model.segmentor.decode_head.ignore_index': 254, f'{SOURCE}.reduce_zero_label': True})


@fault('steps that fill with another label', f'{SOURCE}.pipeline.2.seg_pad_val', 'is 253', 'fills', alone=False)
@fault('crop that counts another label', f'{SOURCE}.pipeline.3.ignore_index', 'is 250', severity='warning', alone=False)
@fault('pad with another label', f'{SOURCE}.pipeline.4.pad_val.seg', 'is 250', 'fills with 250', alone=False)
def _(root: Path, config: Config) -> None:
    steps = [
        {'type': 'RandomRotate', 'prob': 0.0, 'degree': 9.0, 'seg_pad_val': 253},
        {'type': 'RandomCrop', 'crop_size': (16, 16), 'cat_max_ratio': 0.75, 'ignore_index': 250},
        {'type': 'Pad', 'size': (16, 16), 'pad_val': {'img': 0, 'seg': 250}},
    ]
    config.train_dataloader.dataset.source.pipeline[2:2] = steps
