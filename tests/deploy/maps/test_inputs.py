from __future__ import annotations

from pathlib import Path

import pytest

from dlc_mmseg.deploy.maps.inputs import list_jobs, shared_out
from dlc_mmseg.errors import UserError


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    for name in ('north/a.tif', 'south/a.tif', 'south/deep/b.png', 'c.jpg', 'c.png', 'north/a.tfw', 'a.tif.aux.xml'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    (tmp_path / 'images/.hidden').mkdir()
    (tmp_path / 'images/.hidden/x.tif').write_bytes(b'')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def maps(*inputs: str, out: str = 'maps', **options) -> dict[str, str]:
    return {str(job.image): str(job.map) for job in list_jobs(list(inputs), Path(out), **options)}


def test_folders_keep_their_tree_and_leave_companions_out(root):
    assert maps('images') == {
        'images/c.jpg': 'maps/c.jpg.tif',
        'images/c.png': 'maps/c.png.tif',
        'images/north/a.tif': 'maps/north/a.tif',
        'images/south/a.tif': 'maps/south/a.tif',
        'images/south/deep/b.png': 'maps/south/deep/b.tif',
    }
    assert list(maps('images', suffix='.png')) == ['images/c.png', 'images/south/deep/b.png']


def test_equal_names_never_meet(root):
    both = {'images/north/a.tif': 'maps/north/a.tif', 'images/south/a.tif': 'maps/south/a.tif'}
    assert maps('images/north/a.tif', 'images/south/a.tif') == both
    assert maps('images/*/a.tif') == both
    assert maps('images/north', 'images/south/a.tif') == both
    assert maps('images/north', 'images/north/a.tif') == {'images/north/a.tif': 'maps/a.tif'}  # named twice: one map


def test_patterns_take_images_only(root):
    assert list(maps('images/**/*', out='elsewhere')) == sorted(maps('images'))


def test_one_image_may_name_its_map(root):
    assert maps('images/c.jpg', out='my map.tif') == {'images/c.jpg': 'my map.tif'}
    with pytest.raises(UserError, match='is one file, 5 images'):
        maps('images', out='map.tif')


def test_maps_inside_the_folder_of_images_are_no_images(root):
    (root / 'images/maps').mkdir()
    (root / 'images/maps/a.tif').write_bytes(b'')
    assert len(maps('images', out='images/maps')) == 5


def test_images_are_never_overwritten(root):
    for inputs, out in (
        (['images/north/a.tif'], 'images/north'),
        (['images/north/a.tif'], 'images/south/../north/a.tif'),
    ):
        with pytest.raises(UserError, match='would overwrite'):
            maps(*inputs, out=out)


@pytest.mark.parametrize('text', ['absent.tif', 'images/*.vrt', 'images/.hidden/none'])
def test_inputs_that_do_not_exist_are_named(root, text):
    with pytest.raises(UserError) as caught:
        maps(text)
    assert caught.value.where == text


@pytest.mark.parametrize('world_size', [1, 2, 3, 7])
def test_processes_share_all_images_once(world_size):
    items, sizes = list('abcde'), [1, 9, 3, 3, 2]
    parts = [shared_out(items, sizes, {'RANK': str(rank), 'WORLD_SIZE': str(world_size)}) for rank in range(world_size)]
    assert sorted(item for part in parts for item in part) == items
    assert shared_out(items, sizes, {}) == items
    if world_size == 3:
        assert parts == [['b', 'e'], ['a', 'c'], ['d']]  # the largest first, in turn
