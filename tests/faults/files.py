"""Folders, names and splits that are not there, and files that do not read."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from PIL import Image

from faults.injecting import SOURCE, TARGET, VALIDATION, each, fault, field_fault, noise, png, shape_labels

field_fault(
    'source folder missing',
    f'{SOURCE}.data_root',
    lambda r: str(r / 'nowhere'),
    'source image folder is missing',
    'correct data_root',
    where='/nowhere/img',
)
field_fault(
    'target folder missing',
    f'{TARGET}.data_root',
    lambda r: str(r / 'nowhere'),
    'target image folder is missing',
    'correct data_root',
    where='/nowhere/img',
)
field_fault(
    'validation folder missing',
    f'{VALIDATION}.data_root',
    lambda r: str(r / 'nowhere'),
    'validation image folder is missing',
    'correct data_root',
    where='/nowhere/img',
)
field_fault(
    'wrong image suffix',
    f'{TARGET}.img_suffix',
    '.tif',
    "no target image ends in '.tif'",
    'found: 4 .png',
    'correct the folder or img_suffix',
    where='/target/img',
)
field_fault(
    'split file missing',
    f'{TARGET}.ann_file',
    'none.txt',
    'target split file is missing',
    'correct ann_file',
    where='/target/none.txt',
)


@fault('empty folder', '/target/img', 'no target image', 'found: nothing', 'correct the folder')
def _(root: Path, config: Config) -> None:
    for path in each(root / 'target/img'):
        path.unlink()


@fault('empty split', '/source/split.txt', 'lists no image', 'one name per line')
def _(root: Path, config: Config) -> None:
    (root / 'source/split.txt').write_text('', encoding='utf-8')
    config.merge_from_dict({f'{SOURCE}.ann_file': 'split.txt'})


@fault(
    'split names an image that is not there',
    '/source/img/t77.png',
    'is named in',
    'split.txt',
    'does not exist',
    'one name per line',
)
def _(root: Path, config: Config) -> None:
    (root / 'source/split.txt').write_text('t00\nt01\nt77\n', encoding='utf-8')
    config.merge_from_dict({f'{SOURCE}.ann_file': 'split.txt'})


@fault('split names images with their suffix', '/target/img/t00.png.png', '(and 1 more)', 'without img_suffix')
def _(root: Path, config: Config) -> None:
    (root / 'target/split.txt').write_text('t00.png\nt01.png\n', encoding='utf-8')
    config.merge_from_dict({f'{TARGET}.ann_file': 'split.txt'})


@fault('split names an image twice', '/target/img/t01.png', 'more than once', 'once in', severity='warning')
def _(root: Path, config: Config) -> None:
    (root / 'target/split.txt').write_text('t00\nt01\nt01\n', encoding='utf-8')
    config.merge_from_dict({f'{TARGET}.ann_file': 'split.txt'})


@fault('split names an image of another ending', '/source/img/t01.png', 'is named in', 'rename t01.PNG to t01.png')
def _(root: Path, config: Config) -> None:
    (root / 'source/img/t01.png').rename(root / 'source/img/t01.PNG')
    (root / 'source/split.txt').write_text('t00\nt01\n', encoding='utf-8')
    config.merge_from_dict({f'{SOURCE}.ann_file': 'split.txt'})


def split(root: Path, config: Config, content: bytes) -> None:
    (root / 'source/split.txt').write_bytes(content)
    config.merge_from_dict({f'{SOURCE}.ann_file': 'split.txt'})


@fault('split with byte order mark', '/source/split.txt', 'line 1 begins with a byte order mark', 'save it as UTF-8')
def _(root: Path, config: Config) -> None:
    split(root, config, b'\xef\xbb\xbft00\r\nt01\r\nt02\r\n')


@fault('split with empty lines', '/source/split.txt', 'line 2 is an empty line', '(and 1 more)', 'remove empty lines')
def _(root: Path, config: Config) -> None:
    split(root, config, b't00\n\nt01\r\nt02\r\n\r\n')


@fault('split of another encoding', '/source/split.txt', 'is stored as UTF-16', 'save it as UTF-8')
def _(root: Path, config: Config) -> None:
    split(root, config, 't00\nt01\nt02\n'.encode('utf-16'))


@fault('split of an older encoding', '/source/split.txt', 'line 2 is no UTF-8 (byte 0xe4)', 'save it as UTF-8')
def _(root: Path, config: Config) -> None:
    split(root, config, 't00\nGemälde\n'.encode('latin-1'))


@fault('label missing', '/source/lbl/t01.png', 'label of a source image is missing', 'add the label or take the image')
def _(root: Path, config: Config) -> None:
    (root / 'source/lbl/t01.png').unlink()


@fault('wrong label suffix', '/source/lbl/t00.png', 'is missing (and 2 more)', "seg_map_suffix='_label.png'")
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        path.rename(path.with_name(f'{path.stem}_label.png'))


@fault('labels named unlike images', '/source/lbl/t00.png', 'is missing', 'name label images like images', 'area0.png')
def _(root: Path, config: Config) -> None:
    for number, path in enumerate(each(root / 'source/lbl')):
        path.rename(path.with_name(f'area{number}.png'))


field_fault(
    'label folder missing',
    f'{SOURCE}.data_prefix.seg_map_path',
    'nothing',
    'label of a source image is missing',
    'data_prefix.seg_map_path',
    where='/source/nothing/t00.png',
)


@fault('source without labels', SOURCE, 'source has no labels', 'seg_map_path=')
def _(root: Path, config: Config) -> None:
    del config.train_dataloader.dataset.source.data_prefix['seg_map_path']


@fault('validation without labels', VALIDATION, 'validation has no labels', 'seg_map_path=')
def _(root: Path, config: Config) -> None:
    del config.val_dataloader.dataset.data_prefix['seg_map_path']


@fault(
    'label without image',
    '/source/lbl/t02.png',
    'label image without a source image',
    'restore the image',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    (root / 'source/img/t02.png').unlink()


def in_folders(root: Path, *names: str) -> None:
    """Validation tiles in sub-folders that repeat their names."""
    for kind in ('img', 'lbl'):
        for path in each(root / 'validation' / kind):
            for name in names:
                (root / 'validation' / kind / name).mkdir(exist_ok=True)
                pixels = noise(len(name) + int(path.stem[1:]), 16, 16, 3)
                png(path.parent / name / path.name, pixels if kind == 'img' else shape_labels())
            path.unlink()


@fault(
    'maps of equal names',
    'test_evaluator.output_dir',
    '4 images have 2 different names',
    'overwrites',
    '`dlc-mmseg predict`',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    in_folders(root, 'north', 'eastern')
    config.test_evaluator.update(output_dir=str(root / 'maps'))


@fault(
    'maps of equal names from joined datasets',
    'val_evaluator.1.output_dir',
    '5 images have 3 different names',
    severity='warning',
    alone=False,  # one of them is the source
)
def _(root: Path, config: Config) -> None:
    part = config.val_dataloader.dataset.to_dict()
    parts = [part, {**part, 'data_root': str(root / 'source')}]
    config.merge_from_dict({VALIDATION: {'_delete_': True, 'type': 'ConcatDataset', 'datasets': parts}})
    config.val_evaluator = [config.val_evaluator, {'type': 'IoUMetric', 'output_dir': str(root / 'maps')}]


@fault(
    'images of other endings',
    '/target/img',
    '2 of 4 images are left out',
    "'.png' (t00.PNG and others: 1 .PNG, 1 .jpg)",
    'ConcatDataset',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    first, second, *_ = each(root / 'target/img')
    first.rename(first.with_suffix('.PNG'))
    Image.open(second).save(second.with_suffix('.jpg'))
    second.unlink()


@fault(
    'label of an image of another ending',
    '/source/lbl/t00.png',
    'without a source image',
    'rename t00.PNG',
    severity='warning',
    alone=False,
)
@fault(
    'image of another ending',
    '/source/img',
    '1 of 3 images',
    "rename them to end in '.png'",
    severity='warning',
    alone=False,
)
def _(root: Path, config: Config) -> None:
    (root / 'source/img/t00.png').rename(root / 'source/img/t00.PNG')


@fault(
    'label of another ending', '/source/lbl/t01.png', 'is missing', "rename t01.PNG: names of all labels must end in '"
)
def _(root: Path, config: Config) -> None:
    (root / 'source/lbl/t01.png').rename(root / 'source/lbl/t01.PNG')


@fault('labels of another ending', '/source/lbl/t00.png', 'is missing (and 2 more)', "seg_map_suffix='.PNG'")
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        path.rename(path.with_suffix('.PNG'))


@fault(
    'labels among source images', '/source/img/t00_label.png', 'is taken for a source image (and 2 more)', 'img_suffix'
)
def _(root: Path, config: Config) -> None:
    for path in each(root / 'source/lbl'):
        path.rename(root / 'source/img' / f'{path.stem}_label.png')
    config.merge_from_dict({f'{SOURCE}.data_prefix.seg_map_path': 'img', f'{SOURCE}.seg_map_suffix': '_label.png'})


@fault(
    'labels among target images',
    '/target/img/t00_mask.png',
    'is taken for a target image',
    'a folder of their own',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    png(root / 'target/img/t00_mask.png', shape_labels())


@fault(
    'copies of a notebook',
    '/target/img/.ipynb_checkpoints/t09-checkpoint.png',
    'lies in a hidden folder',
    'delete that folder',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    png(root / 'target/img/.ipynb_checkpoints/t09-checkpoint.png', noise(77, 16, 16, 3))


@fault('empty file', '/target/img/t02.png', 'is empty (0 bytes)', 'restore the file')
def _(root: Path, config: Config) -> None:
    (root / 'target/img/t02.png').write_bytes(b'')


@fault('text in place of an image', '/source/img/t01.png', 'is no image', 'restore the file')
def _(root: Path, config: Config) -> None:
    (root / 'source/img/t01.png').write_text('<html>404</html>', encoding='utf-8')


@fault('truncated image', '/target/img/t01.png', 'does not decode', 'truncated', 'restore the file')
def _(root: Path, config: Config) -> None:
    path = root / 'target/img/t01.png'
    path.write_bytes(path.read_bytes()[:400])


@fault('truncated JPEG', '/target/img/t03.jpg', 'does not decode', 'truncated', 'restore the file')
def _(root: Path, config: Config) -> None:
    folder = root / 'target/img'
    for path in each(folder):
        Image.open(path).resize((32, 32)).crop((0, 0, 16, 16)).save(path.with_suffix('.jpg'), quality=95)
        path.unlink()
    path = folder / 't03.jpg'
    path.write_bytes(path.read_bytes()[:-150])
    config.merge_from_dict({f'{TARGET}.img_suffix': '.jpg'})


@fault('truncated TIFF', '/target/img/t03.tif', 'does not decode', 'restore the file')
def _(root: Path, config: Config) -> None:
    folder = root / 'target/img'
    for path in each(folder):
        Image.open(path).save(path.with_suffix('.tif'))
        path.unlink()
    path = folder / 't03.tif'
    path.write_bytes(path.read_bytes()[:-300])
    config.merge_from_dict({f'{TARGET}.img_suffix': '.tif'})


@fault('truncated label', '/source/lbl/t01.png', 'label of a source image does not decode', 'restore the file')
def _(root: Path, config: Config) -> None:
    path = root / 'source/lbl/t01.png'
    png(path, noise(1, 16, 16) % 3)
    path.write_bytes(path.read_bytes()[:-30])


@fault('damaged pixels inside a complete file', '/target/img/t02.png', 'does not decode', 'restore the file', full=True)
def _(root: Path, config: Config) -> None:
    for number in range(4, 60):  # more than a quick check decodes
        png(root / f'target/img/t{number:02d}.png', noise(100 + number, 16, 16, 3))
    path = root / 'target/img/t02.png'
    content = bytearray(path.read_bytes())
    content[100:140] = bytes(40)
    path.write_bytes(content)
