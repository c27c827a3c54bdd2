"""Raw files in folders, archives and archives inside archives."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest

from dlc_mmseg.converters.raw_files import find_raw_files
from dlc_mmseg.errors import UserError

CONTENT = {'top/a.tif': b'first' * 1000, 'top/b.TIF': b'second' * 3000, 'dsm/readme.txt': b'no image'}


def write_zip(target: Path | io.BytesIO, content: dict[str, bytes], compression: int) -> None:
    with zipfile.ZipFile(target, 'w', compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def nested(path: Path, outer: int, inner: int) -> None:
    buffer = io.BytesIO()
    write_zip(buffer, CONTENT, inner)
    write_zip(path, {'Data/note.txt': b'x' * 999, 'Data/inner.zip': buffer.getvalue()}, outer)


def test_folder_holds_files_in_any_depth(tmp_path):
    for name, data in CONTENT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / 'top' / '._a.tif').write_bytes(b'resource fork')
    files = find_raw_files(tmp_path)
    assert [(raw.folder, raw.name) for raw in files] == [('top', 'a.tif'), ('top', 'b.TIF')]
    assert [raw.read() for raw in files] == [CONTENT['top/a.tif'], CONTENT['top/b.TIF']]


@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archive_in_a_folder_and_as_the_root(tmp_path, compression):
    write_zip(tmp_path / 'x.zip', {**CONTENT, '__MACOSX/top/a.tif': b'', 'top/._b.tif': b''}, compression)
    for root in (tmp_path, tmp_path / 'x.zip'):
        files = find_raw_files(root)
        assert [(raw.folder, raw.name) for raw in files] == [('top', 'a.tif'), ('top', 'b.TIF')]
        assert [raw.read() for raw in files] == [CONTENT['top/a.tif'], CONTENT['top/b.TIF']]


def test_file_at_the_top_of_an_archive_takes_the_archive_as_its_folder(tmp_path):
    write_zip(tmp_path / 'ground_truth.zip', {'a.tif': b'1'}, zipfile.ZIP_STORED)
    assert find_raw_files(tmp_path)[0].folder == 'ground_truth'


@pytest.mark.parametrize('outer', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize('inner', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archive_inside_an_archive(tmp_path, outer, inner):
    nested(tmp_path / 'big.zip', outer, inner)
    files = pickle.loads(pickle.dumps(find_raw_files(tmp_path / 'big.zip')))  # as for a worker process
    assert [raw.name for raw in files] == ['a.tif', 'b.TIF']
    assert [raw.read() for raw in files] == [CONTENT['top/a.tif'], CONTENT['top/b.TIF']]
    assert str(files[0]).endswith('big.zip:Data/inner.zip:top/a.tif')


def test_extracted_files_come_before_archived_ones(tmp_path):
    write_zip(tmp_path / 'a.zip', {'top/a.tif': b'archived'}, zipfile.ZIP_STORED)
    (tmp_path / 'z').mkdir()
    (tmp_path / 'z' / 'a.tif').write_bytes(b'plain')
    assert [raw.read() for raw in find_raw_files(tmp_path)] == [b'plain', b'archived']


def test_stamp_follows_the_content(tmp_path):
    stamps = set()
    for data in (b'one', b'two', b'three'):
        write_zip(tmp_path / 'a.zip', {'a.tif': data}, zipfile.ZIP_DEFLATED)
        stamps.add(find_raw_files(tmp_path)[0].stamp)
    assert len(stamps) == 3


def test_member_that_points_outside_is_only_read(tmp_path):
    (tmp_path / 'in').mkdir()
    write_zip(tmp_path / 'in' / 'evil.zip', {'../../evil.tif': b'payload'}, zipfile.ZIP_STORED)
    before = sorted(tmp_path.rglob('*'))
    assert find_raw_files(tmp_path / 'in')[0].read() == b'payload'
    assert sorted(tmp_path.rglob('*')) == before


def test_missing_root_is_named(tmp_path):
    with pytest.raises(UserError, match=r'--dataset_path .*nowhere: no such folder'):
        find_raw_files(tmp_path / 'nowhere')


@pytest.mark.parametrize('keep', [10, 2000])
def test_cut_off_archive_is_named(tmp_path, keep):
    path = tmp_path / 'cut.zip'
    write_zip(path, CONTENT, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UserError, match=r'cut\.zip: damaged zip archive .*download it again'):
        find_raw_files(tmp_path)


def test_flipped_byte_in_a_member_is_named(tmp_path):
    path = tmp_path / 'bad.zip'
    write_zip(path, CONTENT, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b'first') + 7] ^= 1
    path.write_bytes(data)
    files = find_raw_files(tmp_path)
    with pytest.raises(UserError, match=r'bad\.zip:top/a\.tif: damaged zip archive .*CRC') as caught:
        files[0].read()
    assert '\n' not in str(caught.value)
    assert files[1].read() == CONTENT['top/b.TIF']


def test_file_gone_meanwhile_is_named(tmp_path):
    (tmp_path / 'a.tif').write_bytes(b'1')
    raw = find_raw_files(tmp_path)[0]
    (tmp_path / 'a.tif').unlink()
    with pytest.raises(UserError, match=r'a\.tif: cannot be read \(No such file'):
        raw.read()
