"""A damaged checkpoint never becomes the one that is resumed."""

from __future__ import annotations

import pytest
import torch

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.latest_checkpoint import choose_latest, is_complete


def checkpoint(path, value=0.0):
    torch.save({'state_dict': {'a': torch.full((500,), value)}, 'meta': {'iter': 3}}, path)
    return path


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.fixture
def folder(tmp_path):
    """Three checkpoints, the last of which is recorded."""
    for number in (2, 10, 8):
        checkpoint(tmp_path / f'iter_{number}.pth')
    checkpoint(tmp_path / 'best_mIoU_iter_30.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_10.pth'))
    return tmp_path


def recorded(folder):
    return (folder / 'last_checkpoint').read_text()


@pytest.mark.parametrize('share', [0.0, 0.01, 0.5, 0.9, 0.999])
def test_cut_files_are_incomplete(tmp_path, share):
    path = checkpoint(tmp_path / 'a.pth')
    assert is_complete(path)
    assert not is_complete(cut(path, share))


def test_damaged_and_missing_files_are_incomplete(tmp_path):
    path = checkpoint(tmp_path / 'a.pth', value=1.0)
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(100).numpy().tobytes()) + 7] ^= 1
    path.write_bytes(content)
    torch.load(path, weights_only=True)  # torch itself does not notice
    assert not is_complete(path)
    assert not is_complete(tmp_path / 'none.pth')
    assert not is_complete(tmp_path)


def test_damaged_directories_of_files_are_incomplete(tmp_path):
    path = checkpoint(tmp_path / 'a.pth')
    content = bytearray(path.read_bytes())
    content[content.rindex(b'a/data.pkl')] = 0xFF  # the directory, at the end, says that this is UTF-8
    path.write_bytes(content)
    assert not is_complete(path)


def test_the_recorded_checkpoint_is_taken(folder):
    (folder / 'last_checkpoint').write_text(f'{folder / "iter_8.pth"}\n')
    assert choose_latest(folder) == folder / 'iter_8.pth'


def test_a_record_written_by_an_editor_is_taken_and_cleaned(folder):
    path = folder / 'iter_8.pth'
    (folder / 'last_checkpoint').write_bytes(b'\xef\xbb\xbf' + f'{path}\r\n'.encode())
    assert choose_latest(folder) == path
    assert (folder / 'last_checkpoint').read_bytes() == str(path).encode()  # as MMEngine reads it


@pytest.mark.parametrize('damage', ['cut', 'gone', 'empty record', 'lost record', 'no record'])
def test_the_one_before_takes_its_place(folder, damage):
    if damage == 'cut':
        cut(folder / 'iter_10.pth', 0.7)
    elif damage == 'gone':
        (folder / 'iter_10.pth').unlink()
    elif damage == 'empty record':
        (folder / 'last_checkpoint').write_text('')
    elif damage == 'lost record':  # of a power cut: the right length, and nothing in it
        (folder / 'last_checkpoint').write_bytes(bytes(40))
    else:
        (folder / 'last_checkpoint').unlink()
    expected = folder / ('iter_8.pth' if damage in ('cut', 'gone') else 'iter_10.pth')
    assert choose_latest(folder) == expected
    assert recorded(folder) == str(expected)


def test_checkpoints_of_another_out_dir(folder, tmp_path_factory):
    work_dir = tmp_path_factory.mktemp('work')
    (work_dir / 'last_checkpoint').write_text(str(cut(folder / 'iter_10.pth', 0.5)))
    assert choose_latest(work_dir) == folder / 'iter_8.pth'
    assert recorded(work_dir) == str(folder / 'iter_8.pth')


def test_a_remote_checkpoint_is_left_to_mmengine(folder):
    (folder / 'last_checkpoint').write_text('s3://bucket/run/iter_12.pth')
    assert choose_latest(folder) is None
    assert recorded(folder) == 's3://bucket/run/iter_12.pth'


def test_half_written_files_are_removed(folder):
    left = folder / '.iter_12.pth.0123.part'
    left.write_bytes(b'x')
    assert choose_latest(folder) == folder / 'iter_10.pth'
    assert not left.exists()


def test_an_empty_folder_starts_from_the_beginning(tmp_path):
    assert choose_latest(tmp_path) is None
    assert not (tmp_path / 'last_checkpoint').exists()


def test_a_record_of_nothing_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('')
    with pytest.raises(UserError, match=r'last_checkpoint: missing, cut off or damaged.*without --resume'):
        choose_latest(tmp_path)


def test_nothing_whole_is_an_error_with_a_remedy(folder):
    for path in folder.glob('iter_*.pth'):
        cut(path, 0.5)
    with pytest.raises(UserError, match=r'iter_10\.pth: missing, cut off or damaged.*without --resume'):
        choose_latest(folder)
