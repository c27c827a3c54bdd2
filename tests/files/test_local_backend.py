"""What MMEngine writes to local files is written whole or not at all."""

from __future__ import annotations

import os

import pytest
import torch
from mmengine.fileio import get_file_backend, put, put_text
from mmengine.runner import save_checkpoint

import dlc_mmseg.safe_files  # noqa: F401, registers the backend
from dlc_mmseg.files.local_backend import AtomicLocalBackend


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
