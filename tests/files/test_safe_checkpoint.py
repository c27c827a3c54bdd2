"""No checkpoint runs code, whichever way it is loaded; those that MMEngine writes load as ever."""

from __future__ import annotations

import os
import pickle
import shutil
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, load_checkpoint
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.errors import UserError
from dlc_mmseg.files import checkpoint_loaders as checkpoint_loading
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file, read_safely

KINDS = ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', '?', 'c8')


class Reduces:
    """Pickles as a call."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def runs_on_loading(path: Path, marker: Path) -> Path:
    """A checkpoint that makes a folder when it is unpickled freely."""
    state = {'a': torch.zeros(1)}
    return save(path, {'meta': {'epoch': 0, 'iter': 0}, 'state_dict': state, 'x': Reduces(os.mkdir, (str(marker),))})


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Folder of a finished run of two iterations."""
    root = tmp_path_factory.mktemp('a run, $HOME & more')
    write_pair(root)
    runner_of(run_config(root)).train()
    return root


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the finished run."""
    shutil.copytree(trained, tmp_path / 'run')
    last = tmp_path / 'run' / 'work' / 'iter_2.pth'
    (last.parent / 'last_checkpoint').write_text(str(last), encoding='utf-8')
    return tmp_path / 'run'


def assert_same(got: Any, expected: Any) -> None:
    assert type(got) is type(expected)
    if isinstance(expected, dict):
        assert list(got) == list(expected)
        for key in expected:
            assert_same(got[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(got) == len(expected)
        for pair in zip(got, expected, strict=True):
            assert_same(*pair)
    elif isinstance(expected, HistoryBuffer):
        assert got.max_length == expected.max_length
        for pair in zip(got.data, expected.data, strict=True):
            assert_same(*pair)
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(got, expected)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    else:
        assert got == expected


def test_a_checkpoint_of_a_run_loads_as_it_was_written(trained):
    path = trained / 'work' / 'iter_2.pth'
    expected = torch.load(path, weights_only=False)
    assert expected['message_hub']['log_scalars']
    assert expected['optimizer']['state']
    assert isinstance(expected['state_dict'], OrderedDict)
    assert 'dict(' in expected['message_hub']['runtime_info']['cfg']
    for mmap in (False, True):
        got = load_checkpoint_file(path, mmap=mmap)
        assert_same(got, expected)
        assert got['state_dict']._metadata == expected['state_dict']._metadata


@pytest.mark.parametrize(
    'value',
    [
        *(np.dtype(kind).type(3) for kind in KINDS),
        np.str_('Äpfel'),
        np.bytes_(b'raw'),
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype='>i2').reshape(2, 3)),
        np.array([], dtype=np.float32),
        np.array(['a', 'bcd']),
        np.random.default_rng(0).bit_generator.random_raw(4),
        np.dtype('f4'),
        np.random.RandomState(0).get_state(),
    ],
    ids=lambda value: f'{type(value).__name__} {getattr(value, "dtype", "")}',
)
def test_numpy_values_keep_type_and_content(tmp_path, value):
    content = {'best': value, 'nested': [{'x': (1, value)}]}
    assert_same(load_checkpoint_file(save(tmp_path / 'x.pth', content)), content)


def test_names_of_older_numpy_are_known(tmp_path):
    content = {'best': np.float64(0.5), 'history': HistoryBuffer([1.0, 2.0], [1, 1])}
    new = save(tmp_path / 'x.pth', content)
    old = tmp_path / 'old.pth'
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, 'w') as target:
        for name in source.namelist():
            data = source.read(name)
            other = data.replace(b'numpy._core.', b'numpy.core.')
            target.writestr(name, other if other != data else data.replace(b'numpy.core.', b'numpy._core.'))
    assert_same(load_checkpoint_file(old), content)


def test_shared_and_cyclic_containers_survive(tmp_path):
    shared = [np.float64(1)]
    content: dict[str, Any] = {'a': shared, 'b': shared}
    content['itself'] = content
    got = load_checkpoint_file(save(tmp_path / 'x.pth', content))
    assert got['itself'] is got
    assert got['a'] is got['b']
    assert type(got['a'][0]) is np.float64


class _Ndarray:
    def __reduce__(self) -> Any:  # an array whose object pointers are the file's bytes: crashes when it is printed
        return np.ndarray, ((1,), 'O', b'\x41' * 8)


class _Dtype:
    def __reduce__(self) -> Any:  # a number type rewritten to hold object pointers
        return np.dtype, ('f8', False, True), (3, '<', None, ('a',), {'a': (np.dtype('f8'), 0)}, 8, 1, 0)


@pytest.mark.parametrize(
    ('thing', 'named'),
    [
        (Reduces(os.system, ('true',)), 'posix.system'),
        (Reduces(eval, ('1',)), 'eval'),
        (Reduces(__import__, ('os',)), '__import__'),
        (Reduces(getattr, (HistoryBuffer, '__init__')), "getattr(HistoryBuffer, '__init__')"),
        (Reduces(getattr, (HistoryBuffer(), 'mean')), "getattr(HistoryBuffer, 'mean')"),
        (Path('x'), 'pathlib'),
        (_Ndarray(), 'numpy.ndarray of a buffer'),
        (_Dtype(), 'numpy.dtype with fields'),
        (np.array([None, 1], dtype=object), "numpy.dtype('O8')"),
        (np.zeros(2, dtype=[('a', 'f4')]), "numpy.dtype('V4')"),
        (np.datetime64('2024-01-01'), "numpy.dtype('M8')"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_everything_else_is_refused_in_one_line(tmp_path, thing, named):
    path = save(tmp_path / 'x.pth', {'state_dict': {}, 'extra': [thing]})
    with pytest.raises(UserError) as caught:
        load_checkpoint_file(path)
    message = str(caught.value)
    assert '\n' not in message
    assert message.startswith(f'{path}: refused, it holds {named}')
    assert 'DLC_MMSEG_TRUSTED_CHECKPOINTS' in message


def test_a_file_that_is_trusted_by_name_loads(tmp_path, monkeypatch):
    marker = tmp_path / 'ran'
    path = runs_on_loading(tmp_path / 'x.pth', marker)
    monkeypatch.setenv('DLC_MMSEG_TRUSTED_CHECKPOINTS', str(tmp_path / 'other.pth'))
    with pytest.raises(UserError, match='refused'):
        load_checkpoint_file(path)
    assert not marker.exists()
    monkeypatch.setenv('DLC_MMSEG_TRUSTED_CHECKPOINTS', os.pathsep.join(['/else', str(path)]))
    load_checkpoint_file(path)
    assert marker.exists()


@pytest.mark.parametrize('way', ['load_from', 'resume', 'auto resume', 'test', 'pretrained', 'load_checkpoint'])
def test_no_way_of_mmengine_runs_what_a_file_carries(run, tmp_path, way):
    marker = tmp_path / 'ran'
    evil = runs_on_loading(tmp_path / 'its name; has $(signs) and Ü.pth', marker)
    config = run_config(run)
    if way == 'auto resume':
        shutil.copy(evil, run / 'work' / 'iter_2.pth')
        evil = run / 'work' / 'iter_2.pth'
        config.resume = True
    elif way == 'pretrained':
        config.model.segmentor.init_cfg = {'type': 'Pretrained', 'checkpoint': str(evil)}
    else:
        config.load_from, config.resume = str(evil), way == 'resume'
    runner = runner_of(config)
    ways = {'test': runner.test, 'load_checkpoint': lambda: load_checkpoint(runner.model, str(evil))}
    with pytest.raises(UserError) as caught:
        ways.get(way, runner.train)()
    assert not marker.exists()
    assert '\n' not in str(caught.value)
    assert f'{evil}: refused, it holds' in str(caught.value)
    assert 'mkdir' in str(caught.value)


def test_resume_runs_no_config_text(run, tmp_path):
    """MMEngine runs ``meta['config']`` of what it resumes from, as a config file."""
    marker = tmp_path / 'ran'
    path = run / 'work' / 'iter_2.pth'
    content = torch.load(path, weights_only=False)
    content['meta']['config'] = f'import os\nos.mkdir({str(marker)!r})\n'
    torch.save(content, path)
    config = run_config(run, resume=True, train_cfg={'type': 'IterBasedTrainLoop', 'max_iters': 3, 'val_interval': 9})
    runner = runner_of(config)
    runner.train()
    assert runner.iter == 3
    assert not marker.exists()


@pytest.mark.parametrize(
    ('text', 'kept'),
    [
        ("model = dict(type='X', sizes=[1, -2], names=('a',), empty=None)\ncustom_imports = dict(imports=['a'])", True),
        ('import os', False),
        ('x = open("y")', False),
        ('dict = eval\nx = dict("1")', False),
        ('x = (dict := eval)', False),
        ("_base_ = '/tmp/y.py'", False),
        ('x = [a for a in ()]', False),
        ('x = dict.fromkeys(())', False),
        ("x = '{{ $ENV:NONE:\\' + str(1) + \\' }}'", False),
        ('x = (', False),
        (3, False),
    ],
)
def test_config_text_stays_only_if_it_holds_plain_values(tmp_path, text, kept):
    content = {'meta': {'config': text, 'cfg': text, 'iter': 1}, 'message_hub': {'runtime_info': {'cfg': text}}}
    got = load_checkpoint_file(save(tmp_path / 'x.pth', content))
    assert ('cfg' in got['meta']) == ('config' in got['meta']) == kept
    assert ('cfg' in got['message_hub']['runtime_info']) == kept
    assert got['meta']['iter'] == 1


@pytest.mark.parametrize('way', ['load_from', 'resume', 'test'])
def test_a_file_that_was_cut_off_is_named(run, way):
    path = run / 'work' / 'iter_2.pth'
    path.write_bytes(path.read_bytes()[:-500])
    config = run_config(run, load_from=str(path), resume=way == 'resume')
    runner = runner_of(config)
    start = runner.test if way == 'test' else runner.train
    with pytest.raises(UserError) as caught:
        start()
    assert str(caught.value).startswith(f'{path}: cannot be read (')
    assert 'cut off' in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('lacking', [1, 100, 700, 1000, 2000])
def test_a_file_is_cut_off_wherever_it_ends(tmp_path, lacking):
    path = save(tmp_path / 'x.pth', {'state_dict': {'a': torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:-lacking])
    with pytest.raises(UserError, match=r'its end is missing\), the file is cut off'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('content', [b'', b'text', pickle.dumps([1]), b'PK\x03\x04 cut', b'\x80\x02}q\x00X'])
def test_files_of_other_kinds_are_named_in_one_line(tmp_path, content):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    for mmap in (False, True):
        with pytest.raises(UserError) as caught:
            load_checkpoint_file(path, mmap=mmap)
        assert str(path) in str(caught.value)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize('error', [MemoryError(), torch.cuda.OutOfMemoryError('CUDA out of memory')])
def test_a_file_is_not_blamed_for_a_lack_of_memory(tmp_path, monkeypatch, error):
    path = save(tmp_path / 'x.pth', {})
    monkeypatch.setattr(torch, 'load', Mock(side_effect=error))
    with pytest.raises(type(error)):
        load_checkpoint_file(path)


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    path = save(tmp_path / 'x.pth', {})
    monkeypatch.setattr(torch, 'load', Mock(side_effect=PermissionError(13, 'Permission denied')))
    with pytest.raises(UserError, match=r'x\.pth: cannot be read \(Permission denied\): give the right to read it'):
        load_checkpoint_file(path)


def test_missing_files_and_lists_are_named(tmp_path):
    with pytest.raises(UserError, match=r'x\.pth: no such checkpoint'):
        load_checkpoint_file(tmp_path / 'x.pth')
    with pytest.raises(UserError, match='holds a list, no state dict'):
        load_checkpoint_file(save(tmp_path / 'y.pth', [1]))


def test_files_of_torch_before_1_6_load(tmp_path):
    torch.save({'a': torch.ones(2)}, tmp_path / 'x.pth', _use_new_zipfile_serialization=False)
    for mmap in (False, True):
        assert load_checkpoint_file(tmp_path / 'x.pth', mmap=mmap)['a'].tolist() == [1, 1]


def test_every_scheme_of_mmengine_is_replaced():
    own = [loader.__module__ for loader in CheckpointLoader._schemes.values()]
    assert set(own) == {'dlc_mmseg.files.checkpoint_loaders'}


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A folder that stands for the web; what is fetched from it."""
    folder, fetched = tmp_path / 'web', []
    folder.mkdir()

    def download(url, destination, **_):
        fetched.append(url)
        name = Path(url.partition('?')[0]).name
        if not (folder / name).is_file():
            raise OSError('HTTP Error 404: Not Found')
        shutil.copy(folder / name, destination)

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    monkeypatch.setattr(checkpoint_loading, 'get_torchvision_models', lambda: {'net': 'https://a.b/net.pth'})
    monkeypatch.setattr(checkpoint_loading, 'get_mmcls_models', lambda: {'net': 'https://a.b/net.pth'})
    places = {'net': 'https://a.b/net.pth', 'here': 'x.pth'}
    monkeypatch.setattr(checkpoint_loading, 'get_external_models', lambda: places)
    monkeypatch.setattr(checkpoint_loading, 'get_deprecated_model_names', lambda: {'old': 'net'})
    monkeypatch.setenv('MMENGINE_HOME', str(folder))
    return folder, fetched


SCHEMES = [
    'https://a.b/net.pth?x=1',
    'torchvision://net',
    'modelzoo://net',
    'open-mmlab://old',
    'openmmlab://net',
    'mmcls://net',
]


@pytest.mark.parametrize('name', SCHEMES)
def test_weights_from_the_web_load_safely(web, tmp_path, name):
    folder, fetched = web
    save(folder / 'net.pth', {'state_dict': {'backbone.w': torch.ones(1)}, 'meta': {'h': HistoryBuffer([1.0], [1])}})
    for _ in range(2):
        state = CheckpointLoader.load_checkpoint(name, 'cpu')['state_dict']
        assert list(state) == (['w'] if name.startswith('mmcls') else ['backbone.w'])
    assert len(fetched) == 1
    shutil.rmtree(tmp_path / 'hub')
    runs_on_loading(folder / 'net.pth', tmp_path / 'ran')
    with pytest.raises(UserError, match=r'net\.pth: refused'):
        CheckpointLoader.load_checkpoint(name, 'cpu')
    assert not (tmp_path / 'ran').exists()


def test_other_places(web, monkeypatch, tmp_path):
    folder, _ = web
    save(folder / 'x.pth', {'a': torch.ones(1)})
    assert list(CheckpointLoader.load_checkpoint('open-mmlab://here')) == ['a']
    with pytest.raises(UserError, match=r'none\.pth: cannot be downloaded .*404.*: download it elsewhere'):
        CheckpointLoader.load_checkpoint('http://a.b/none.pth')
    with pytest.raises(UserError, match='torchvision://no: no such pre-trained model'):
        CheckpointLoader.load_checkpoint('torchvision://no')
    with pytest.raises(UserError, match='pavi:// is not read'):
        CheckpointLoader.load_checkpoint('pavi://x')
    runs_on_loading(tmp_path / 'evil.pth', tmp_path / 'ran')
    monkeypatch.setattr(checkpoint_loading.fileio, 'get', lambda name, **_: (tmp_path / 'evil.pth').read_bytes())
    with pytest.raises(UserError, match=r's3://b/evil\.pth: refused'):
        CheckpointLoader.load_checkpoint('s3://b/evil.pth')
    assert not (tmp_path / 'ran').exists()


def test_a_buffer_loads():
    buffer = BytesIO()
    torch.save({'a': torch.ones(1)}, buffer)
    buffer.seek(0)
    assert list(read_safely(buffer, 'buffer')) == ['a']
