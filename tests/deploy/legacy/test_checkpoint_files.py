from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlc_mmseg.deploy.legacy.checkpoint_files import read_checkpoint, write_checkpoint
from dlc_mmseg.errors import UserError

STATE = {'a.weight': torch.arange(6.0).view(2, 3), 'a.count': torch.tensor(7)}


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize('wrap', [lambda s: s, lambda s: {'state_dict': s}, lambda s: {'model': s, 'epoch': 3}])
def test_reads_the_usual_forms(tmp_path: Path, wrap) -> None:
    state, meta = read_checkpoint(save(tmp_path / 'x.pth', wrap(STATE)))
    assert list(state) == list(STATE)
    assert torch.equal(state['a.weight'], STATE['a.weight'])
    assert meta == {}


def test_keeps_what_describes_the_data_and_the_run(tmp_path: Path) -> None:
    meta = {
        'iter': 9750,
        'CLASSES': ('road', 'car'),
        'PALETTE': [[255, 255, 255], [255, 255, 0]],
        'hook_msgs': {'best_score': np.float64(0.6405), 'best_iter': np.int64(3)},
        'config': 'model = ...',
    }
    _, kept = read_checkpoint(save(tmp_path / 'x.pth', {'state_dict': STATE, 'meta': meta}))
    assert kept == {
        'iter': 9750,
        'dataset_meta': {'classes': ('road', 'car'), 'palette': [[255, 255, 255], [255, 255, 0]]},
    }


def test_numpy_numbers_under_their_old_name(tmp_path: Path) -> None:
    """Releases were written with NumPy 1, whose scalars live in numpy.core."""
    path = save(tmp_path / 'x.pth', {'state_dict': STATE, 'meta': {'best': np.float64(0.5)}})
    content = path.read_bytes()
    assert b'numpy._core.multiarray' in content
    old = tmp_path / 'old.pth'
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(old, 'w') as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'numpy._core.multiarray', b'numpy.core.multiarray'))
    assert set(read_checkpoint(old)[0]) == set(STATE)


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def test_never_runs_what_a_file_carries(tmp_path: Path) -> None:
    trap = tmp_path / 'ran'
    path = save(tmp_path / 'x.pth', {'state_dict': STATE, 'meta': _Runs(trap)})
    with pytest.raises(UserError, match=r'x\.pth: refused, it holds'):
        read_checkpoint(path)
    assert not trap.exists()


class _Dtype:
    def __reduce__(self) -> tuple[Any, ...]:  # a number type rewritten to hold object pointers
        return np.dtype, ('f8', False, True), (3, '<', None, ('a',), {'a': (np.dtype('f8'), 0)}, 8, 1, 0)


def test_number_types_cannot_be_rewritten(tmp_path: Path) -> None:
    path = save(tmp_path / 'x.pth', {'state_dict': STATE, 'meta': {'best': _Dtype()}})
    with pytest.raises(UserError, match=r'x\.pth: refused, it holds'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ({}, 'no state dict'),
        ([1, 2], 'no state dict'),
        ({'state_dict': {'a': 3}}, "entry 'a'"),
        ({'epoch': 3}, "entry 'epoch'"),
    ],
)
def test_refuses_what_holds_no_state_dict(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_checkpoint(save(tmp_path / 'x.pth', content))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('content', [b'', b'not a checkpoint', pickle.dumps({'a': 1}), b'PK\x03\x04 cut off'])
def test_refuses_other_files_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'x\.pth') as caught:
        read_checkpoint(path)
    assert '\n' not in str(caught.value)


def test_refuses_absent_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / 'absent.pth', tmp_path):
        with pytest.raises(UserError, match='no such checkpoint: give the path of a checkpoint'):
            read_checkpoint(path)
    with pytest.raises(UserError, match='is a folder'):
        write_checkpoint(tmp_path, STATE, {})


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'x.pth'
    write_checkpoint(path, {'a.weight': STATE['a.weight'].T}, {'iter': 3})
    state, meta = read_checkpoint(path)
    assert torch.equal(state['a.weight'], STATE['a.weight'].T)
    assert meta == {'iter': 3}
    assert torch.load(path, weights_only=True)['meta']['dlc_mmseg_version']


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'x.pth'
    write_checkpoint(path, STATE, {})
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full_disk)
    with pytest.raises(UserError, match='No space left'):
        write_checkpoint(path, {'b': torch.zeros(1)}, {})
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ['x.pth']
