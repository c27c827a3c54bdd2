"""Images and labels in every usual layout of folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlc_mmseg.errors import UserError
from dlc_mmseg.own_data.finding import Wanted, find_data
from dlc_mmseg.own_data.questions import refuse


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def photograph(path, seed=0):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


def label(path, codes=(0, 1, 2)):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(1).choice(np.array(codes, np.uint8), (16, 16))).save(path)


def find(place, role='source', ask=refuse, **more):
    return find_data(Wanted(role=role, place=Path(place), **more), ask)


def pairs(found):
    return {str(found.layout.image(name)): str(found.layout.label(name)) for name in found.layout.labelled}


LAYOUTS = {
    'folders below one root': ('src/images/{}.jpg', 'src/labels/{}.png'),
    'other names': ('src/Ortho/{}.tif', 'src/Truth 2020/{}.tif'),
    'short names': ('src/img/{}.jpg', 'src/lbl/{}.png'),
    'side by side, other extension': ('src/{}.jpg', 'src/{}.png'),
    'side by side, other ending': ('src/{}_RGB.tif', 'src/{}_label.tif'),
    'side by side, longer ending': ('src/{}.png', 'src/{}_mask.png'),
    'labels within the images': ('src/{}.png', 'src/masks/{}.png'),
    'other beginnings': ('src/x/img_{}.png', 'src/y/mask_{}.png'),
    'other beginnings side by side': ('src/img_{}.png', 'src/mask_{}.png'),
    'mmsegmentation': ('src/img_dir/train/{}.jpg', 'src/ann_dir/train/{}.png'),
    'parts outside': ('src/train/images/{}.jpg', 'src/train/labels/{}.png'),
    'endings in two folders': ('src/a/{}_sat.jpg', 'src/b/{}_gt.png'),
}


@pytest.mark.parametrize('layout', LAYOUTS, ids=str)
def test_layouts(layout):
    image, mask = LAYOUTS[layout]
    expected = {}
    for number, name in enumerate(['a1', 'a11', 'b_2']):
        photograph(image.format(name), number)
        label(mask.format(name))
        expected[image.format(name)] = mask.format(name)
    found = find('src')
    assert pairs(found) == expected
    assert found.layout.others == ()
    alone = find('src', 'target', labels=Path('none'))
    assert sorted(str(alone.layout.image(name)) for name in alone.layout.names) == sorted(expected)


def test_subfolders_that_both_have_are_joined():
    for part in ('north', 'south'):
        photograph(f'src/images/{part}/1.jpg')
        label(f'src/labels/{part}/1.png')
    assert pairs(find('src')) == {f'src/images/{part}/1.jpg': f'src/labels/{part}/1.png' for part in ('north', 'south')}


def test_the_part_to_train_on_is_taken():
    for part in ('train', 'val', 'test'):
        photograph(f'src/{part}/images/{part}1.jpg')
        label(f'src/{part}/labels/{part}1.png')
    assert pairs(find('src')) == {'src/train/images/train1.jpg': 'src/train/labels/train1.png'}


def test_images_without_a_label_are_known():
    for name in 'abc':
        photograph(f'src/img/{name}.jpg')
    for name in 'ab':
        label(f'src/lbl/{name}.png')
    found = find('src')
    assert found.layout.labelled == ('a', 'b')
    assert found.layout.others == ('c',)


def test_the_folder_of_the_images_alone_is_enough_where_that_of_the_labels_is_named_so():
    photograph('data/src/img/a.jpg')
    label('data/src/lbl/a.png')
    assert pairs(find('data/src/img')) == {'data/src/img/a.jpg': 'data/src/lbl/a.png'}


def test_labels_elsewhere():
    photograph('here/a.jpg')
    label('far/away/a.png')
    assert pairs(find('here', labels=Path('far/away'))) == {'here/a.jpg': 'far/away/a.png'}
    with pytest.raises(UserError, match='--source_labels: nowhere is no folder'):
        find('here', labels=Path('nowhere'))


@pytest.mark.parametrize(
    ('files', 'kind'),
    [
        (['src/img/a.jpg', 'src/labels/a.png', 'src/labels_old/a.png'], 'labels'),
        (['src/2_rgb/a.jpg', 'src/3_irrg/a.jpg', 'src/5_all/a.png'], 'images'),
    ],
)
def test_what_cannot_be_seen_is_asked_or_refused(files, kind):
    for number, path in enumerate(files):
        photograph(path, number) if path.endswith('.jpg') else label(path)
    with pytest.raises(UserError) as caught:
        find('src')
    assert caught.value.where == 'src'
    assert f'--source_{kind}' in caught.value.remedy
    questions = []
    found = find('src', ask=lambda question: questions.append(question) or 1)
    chosen = sorted(str(Path(path).parent) for path in files if path.endswith('.jpg') == (kind == 'images'))[1]
    assert str(found.layout.images if kind == 'images' else found.layout.labels) == chosen
    assert len(questions) == 1
    named = find('src', **{kind: Path(chosen)})  # the remedy works
    assert pairs(named) == pairs(found)


def test_mixed_up_or_without_labels():
    photograph('src/a.jpg')
    with pytest.raises(UserError, match='no labels of 1 images found') as caught:
        find('src')
    assert '--source_labels' in caught.value.remedy
    with pytest.raises(UserError, match='no such folder'):
        find('nowhere')


def test_labels_that_are_jpegs_are_not_taken_for_images():
    photograph('src/img/a.jpg')
    photograph('src/labels/a.jpg', 3)
    assert pairs(find('src')) == {'src/img/a.jpg': 'src/labels/a.jpg'}


def test_what_training_keeps_beside_the_data_is_no_data():
    photograph('src/img/a.jpg')
    label('src/lbl/a.png')
    Path('src/lbl/class_statistics.json').write_text('{}')
    Path('src/img/band_statistics.json').write_text('{}')
    Path('src/img/.a.jpg').write_bytes(b'hidden')
    assert len(pairs(find('src'))) == 1
