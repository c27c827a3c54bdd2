"""A file holds what it held or all of the new content."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from PIL import Image

from dlc_mmseg.files.atomic_writing import PART_SUFFIX, atomic_path, atomic_writer, remove_leftovers, write_atomically


def test_new_content_takes_the_place_of_the_old(tmp_path):
    path = tmp_path / 'new folder' / 'ä b.bin'
    write_atomically(path, b'first')
    write_atomically(str(path), memoryview(b'second'))
    assert path.read_bytes() == b'second'
    assert os.listdir(path.parent) == ['ä b.bin']


@pytest.mark.parametrize('broken', ['fsync', 'replace'])
def test_an_interrupted_write_changes_nothing(tmp_path, monkeypatch, broken):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'old')

    def fail(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match='No space'):
        write_atomically(path, b'new and longer')
    assert path.read_bytes() == b'old'
    assert os.listdir(tmp_path) == ['a.bin']


def test_permissions_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / 'a.bin', b'x')
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / 'a.bin').stat().st_mode) == 0o640


def test_links_and_devices_stay_what_they_are(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'file')
    write_atomically(tmp_path / 'link', b'x')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'file').read_bytes() == b'x'
    write_atomically(os.devnull, b'x')
    assert not Path(os.devnull).is_file()


def test_a_stream_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'new' / 'x.tif'
    with atomic_writer(path) as file:
        Image.new('RGB', (40, 30), (1, 2, 3)).save(file, format='TIFF', compression='tiff_lzw')
        assert not path.exists()
    assert Image.open(path).getpixel((39, 29)) == (1, 2, 3)
    before = path.read_bytes()

    def interrupted():
        with atomic_writer(path) as file:
            file.write(b'half')
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ['x.tif']


def test_a_program_that_opens_files_by_name_writes_whole_files_too(tmp_path):
    path = tmp_path / 'new' / 'x.tif'
    with atomic_path(path) as part:
        assert part.name == 'x.tif'
        part.write_bytes(b'whole')
        part.with_name('x.tif.aux.xml').write_text('beside')
        remove_leftovers(path.parent)
        assert part.exists()
    assert path.read_bytes() == b'whole'
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_bytes() == b'whole'
    assert os.listdir(path.parent) == ['x.tif']


def test_the_folder_of_a_killed_program_goes(tmp_path):
    left = tmp_path / f'.x.tif.0123{PART_SUFFIX}'
    left.mkdir()
    (left / 'lock').touch()
    (left / 'x.tif').write_bytes(b'half')
    remove_leftovers(tmp_path)
    assert not left.exists()


def test_a_folder_cannot_be_written_over(tmp_path):
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path, b'x')


def write_slowly(path: Path, started, finish) -> None:
    with atomic_writer(path) as file:
        file.write(b'x')
        started.set()
        finish.wait()


def test_leftovers_of_killed_processes_go_and_files_being_written_stay(tmp_path):
    context, children = multiprocessing.get_context('fork'), {}
    for name in ('killed.bin', 'running.bin'):
        started, finish = context.Event(), context.Event()
        children[name] = context.Process(target=write_slowly, args=(tmp_path / name, started, finish))
        children[name].start()
        assert started.wait(60)
    children['killed.bin'].kill()
    children['killed.bin'].join()
    assert len(list(tmp_path.glob(f'.*{PART_SUFFIX}'))) == 2
    remove_leftovers(tmp_path)
    (left,) = tmp_path.glob(f'.*{PART_SUFFIX}')
    assert left.name.startswith('.running.bin.')
    finish.set()
    children['running.bin'].join()
    assert os.listdir(tmp_path) == ['running.bin']
    remove_leftovers(tmp_path / 'nowhere')
