"""A file holds what it held or all of the new content."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import torch
from mmengine.fileio import get_file_backend, put, put_text
from mmengine.runner import save_checkpoint

from dlc_mmseg.files.atomic_writing import AtomicLocalBackend, write_atomically


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


def test_mmengine_writes_this_way(tmp_path, monkeypatch):
    assert isinstance(get_file_backend(tmp_path / 'a.pth'), AtomicLocalBackend)
    save_checkpoint({'state_dict': {'a': torch.ones(2)}}, str(tmp_path / 'a.pth'))
    put_text('Grüße', tmp_path / 'a.txt')
    put(b'x', tmp_path / 'b.txt')
    assert torch.load(tmp_path / 'a.pth', weights_only=True)['state_dict']['a'].tolist() == [1.0, 1.0]
    assert (tmp_path / 'a.txt').read_text(encoding='utf-8') == 'Grüße'
    kept = (tmp_path / 'a.pth').read_bytes()
    monkeypatch.setattr(os, 'replace', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint({'state_dict': {}}, str(tmp_path / 'a.pth'))
    assert (tmp_path / 'a.pth').read_bytes() == kept
