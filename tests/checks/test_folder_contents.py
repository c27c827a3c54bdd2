"""What a folder holds beside the images of one ending."""

from __future__ import annotations

import numpy as np
import pytest
from faults.injecting import noise, shape_labels
from PIL import Image

from dlc_mmseg.checks.folder_contents import left_out_images


def fill(folder, *names):
    """Files of which those with 'label' or 'mask' in their name are label maps, those of other endings text."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = path.suffix.lower()
        if kind in ('.png', '.jpg', '.jpeg', '.tif', '.tiff', '.bmp'):
            labels = any(word in name for word in ('label', 'mask'))
            kinds = {'.png': 'PNG', '.bmp': 'BMP'}
            pixels = shape_labels() if labels else noise(number, 16, 16, 3)
            Image.fromarray(pixels).save(path, kinds.get(kind, 'TIFF' if kind.startswith('.tif') else 'JPEG'))
        else:
            path.write_text('0.5\n', encoding='utf-8')


@pytest.mark.parametrize(
    ('suffix', 'names', 'counted', 'first'),
    [
        ('.png', ['a.png', 'b.PNG', 'c.jpg'], '2 of 3', 'b.PNG and others: 1 .PNG, 1 .jpg'),
        ('.png', ['t1.png', 't10.PNG'], '1 of 2', 't10.PNG: 1 .PNG'),
        ('.jpg', ['a.jpg', 'b.jpeg', 'c.JPG'], '2 of 3', 'b.jpeg and others'),
        ('.tif', ['a.tif', 'b.tiff', 'c.TIF', 'c.tfw'], '2 of 3', 'b.tiff and others'),
        ('.tiff', ['a.tiff', 'b.tif'], '1 of 2', 'b.tif'),
        ('.png', ['x/a.png', 'y/b.Png'], '1 of 2', 'y/b.Png'),
        ('_sat.jpg', ['1_sat.jpg', '2_sat.JPG', '1_mask.png'], '1 of 2', '2_sat.JPG'),
        ('.png', ['a.png', 'b.png', 'c.tif', 'd.bmp'], '2 of 4', 'c.tif and others'),
    ],
)
def test_images_of_other_endings_are_counted(tmp_path, suffix, names, counted, first):
    fill(tmp_path, *names)
    found = left_out_images(str(tmp_path), suffix, num_classes=3)
    assert found is not None
    assert found.what.startswith(f'{counted} images are left out, they do not end in {suffix!r} ({first}')
    assert ('rename' in found.remedy) != ('ConcatDataset' in found.remedy) or 'convert' in found.remedy


@pytest.mark.parametrize(
    ('suffix', 'names'),
    [
        ('.tif', ['a.tif', 'a.tfw', 'a.tif.aux.xml', 'a.tif.ovr', 'Thumbs.db', '.DS_Store', '._a.TIF', 'readme.txt']),
        ('.jpg', ['a.jpg', 'a.png', 'a_label.png', 'a-mask.png', 'a.label.png', 'mask_a.png']),
        ('.png', ['a.png', 'a.tif', 'a_preview.jpg']),
        ('.jpg', ['a.jpg', 'b.jpg', 'mask0.png', 'mask1.png']),  # label maps of other names
        ('_irrg.tif', ['1_irrg.tif', '1_rgb.tif', '1_label.png', '2.tif']),
        ('.png', ['a.png', '.ipynb_checkpoints/b.PNG', '@eaDir/c.jpg']),
    ],
)
def test_what_accompanies_images_is_not(tmp_path, suffix, names):
    fill(tmp_path, *names)
    assert left_out_images(str(tmp_path), suffix, num_classes=3) is None


def test_label_images_of_the_dataset_are_not(tmp_path):
    fill(tmp_path, 'img/a.jpg', 'lbl/a1.png')
    Image.fromarray(np.random.default_rng(0).integers(0, 99, (16, 16), dtype=np.uint8)).save(tmp_path / 'lbl/a1.png')
    assert left_out_images(str(tmp_path), '.jpg', num_classes=3) is not None
    assert left_out_images(str(tmp_path), '.jpg', [str(tmp_path / 'lbl/a1.png')], num_classes=3) is None
