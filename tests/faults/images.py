"""Images that do not fit the model, each other or their pipeline."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from faults.injecting import SOURCE, TARGET, VALIDATION, each, fault, field_fault, noise, png


def grey(folder: Path) -> None:
    for number, path in enumerate(each(folder)):
        png(path, noise(300 + number, 16, 16))


def unchanged(config: Config, *names: str) -> None:
    """Load channels as they are stored."""
    for name in names:
        config.merge_from_dict({f'{name}.pipeline.0.color_type': 'unchanged'})


@fault(
    'mean of wrong length', 'model.data_preprocessor.mean', 'has 4 values', 'images have 3 channels', 'one mean and std'
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'model.data_preprocessor.mean': [1.0] * 4, 'model.data_preprocessor.std': [1.0] * 4})


@fault(
    'channels of source and target differ',
    f'{TARGET}.pipeline',
    'gives 4 channels',
    'one number of channels',
    alone=False,
)
def _(root: Path, config: Config) -> None:
    for number, path in enumerate(each(root / 'target/img')):
        png(path, noise(300 + number, 16, 16, 4))
    unchanged(config, SOURCE, TARGET, VALIDATION)


@fault(
    '16-bit target', f'{TARGET}.pipeline', 'gives uint16 values', 'one type and scale', severity='warning', alone=False
)
def _(root: Path, config: Config) -> None:
    for number, path in enumerate(each(root / 'target/img')):
        cv2.imwrite(str(path), noise(300 + number, 16, 16, 3, dtype=np.uint16))
    unchanged(config, TARGET)


@fault(
    'values from 0 to 1',
    '/target/img/t00.tif',
    'values reach 1, the mean is 127.5',
    'on the scale of the images',
    severity='warning',
    alone=False,
)
def _(root: Path, config: Config) -> None:
    for number, path in enumerate(each(root / 'target/img')):
        pixels = np.random.default_rng(number).random((16, 16, 3), dtype=np.float32)
        pixels[0, 0] = 1
        cv2.imwrite(str(path.with_suffix('.tif')), pixels)
        path.unlink()
    unchanged(config, TARGET)
    config.merge_from_dict({f'{TARGET}.img_suffix': '.tif'})


field_fault(
    'backbone of other channels',
    'model.segmentor.backbone.in_channels',
    5,
    'is 5, the images have 3 channels',
    'set it to 3',
)


@fault(
    'target is the source folder',
    '/source/img/t00.png',
    'target image is a source image too (3 of 3',
    'name the other domain',
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({f'{TARGET}.data_root': str(root / 'source')})


@fault(
    'target is a copy of the source',
    '/target/img/t00.png',
    'equals a source image byte for byte (3 of 4',
    'name the other domain',
)
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/img'):
        (root / 'target/img' / path.name).write_bytes(path.read_bytes())


@fault(
    'validation on the source',
    '/source/img/t00.png',
    'validation image is a source image too',
    'target domain',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({f'{VALIDATION}.data_root': str(root / 'source')})


@fault('target images are label maps', '/target/img/t00.png', 'at most 3 colours each, like label maps', 'img_path')
def _(root: Path, config: Config) -> None:
    for path in each(root / 'target/img'):
        png(path, np.random.default_rng(int(path.stem[1:])).integers(0, 3, (16, 16), dtype=np.uint8))


@fault(
    'copies within a domain',
    '/target/img/t03.png',
    'is a copy of another one',
    'remove copies',
    severity='warning',
    full=True,
)
def _(root: Path, config: Config) -> None:
    (root / 'target/img/t03.png').write_bytes((root / 'target/img/t01.png').read_bytes())


@fault(
    'crop larger than tiles',
    f'{TARGET}.pipeline.1.crop_size',
    '(32, 32) is larger than 4 of 4 target images',
    'data_preprocessor.size',
)
def _(root: Path, config: Config) -> None:
    config.train_dataloader.dataset.target.pipeline.insert(1, {'type': 'RandomCrop', 'crop_size': (32, 32)})


@fault('tiles of several sizes', f'{TARGET}.pipeline', '16 x 16 and 24 x 24 pixels', 'RandomCrop')
def _(root: Path, config: Config) -> None:
    png(root / 'target/img/t02.png', noise(5, 24, 24, 3))


@fault('source pipeline without labels', f'{SOURCE}.pipeline', 'loads no labels', "dict(type='LoadAnnotations')")
def _(root: Path, config: Config) -> None:
    del config.train_dataloader.dataset.source.pipeline[1]


@fault('pipeline that packs nothing', f'{SOURCE}.pipeline', 'packs no inputs', 'PackSegInputs')
def _(root: Path, config: Config) -> None:
    del config.train_dataloader.dataset.source.pipeline[-1]


@fault('target pipeline that needs labels', '/target/img/t00.png', 'target pipeline fails', 'leave out cat_max_ratio')
def _(root: Path, config: Config) -> None:
    step = {'type': 'RandomCrop', 'crop_size': (16, 16), 'cat_max_ratio': 0.75}
    config.train_dataloader.dataset.target.pipeline.insert(1, step)


@fault(
    'reduce_zero_label in one place only',
    f'{SOURCE}.pipeline',
    'has reduce_zero_label=True, the dataset False',
    'leave it out of LoadAnnotations',
)
def _(root: Path, config: Config) -> None:
    config.train_dataloader.dataset.source.pipeline[1]['reduce_zero_label'] = True


field_fault(
    'unknown argument of a dataset',
    f'{SOURCE}.img_sufix',
    '.png',
    'does not build',
    'img_sufix',
    'correct this',
    where=SOURCE,
)
field_fault('unknown dataset', f'{SOURCE}.type', 'BaseSegDatset', 'does not build', 'BaseSegDatset', where=SOURCE)
field_fault(
    'unknown step of a pipeline', f'{TARGET}.pipeline.0.type', 'LoadImage', 'does not build', 'LoadImage', where=TARGET
)
