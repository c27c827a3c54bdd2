"""Listing and copying the configs that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlc_mmseg.cli import main
from dlc_mmseg.commands import configs
from dlc_mmseg.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree of configs in place of the real one."""
    source = tmp_path / 'source'
    (source / '_base_').mkdir(parents=True)
    (source / '__pycache__').mkdir()
    (source / '__pycache__' / 'one.cpython-311.pyc').write_bytes(b'compiled')
    (source / 'one.py').write_text('"""The first one.\n\nMore."""\n')
    (source / 'two.py').write_text('\n# The second one.\na = 1\n')
    (source / '_base_' / 'base.py').write_text('"""A base."""\n')
    (source / 'README.md').write_text('# Read me\n')
    monkeypatch.setattr(configs, 'configs_folder', lambda: source)
    return source


def test_the_folder_is_the_one_of_the_checkout():
    assert configs.configs_folder() == ROOT / 'configs'
    assert Path('_base_/default_runtime.py') in configs.config_files()


def test_each_config_is_listed_with_its_first_line_and_nothing_else(folder, capsys):
    assert main(['configs']) == 0
    assert capsys.readouterr().out.splitlines() == ['one.py  The first one.', 'two.py  The second one.']


def test_copying_keeps_the_tree(folder, tmp_path):
    destination = tmp_path / 'new' / 'configs'
    assert configs.copy_configs(destination) == 4
    copied = {path.relative_to(destination).as_posix() for path in destination.rglob('*') if path.is_file()}
    assert copied == {'one.py', 'two.py', '_base_/base.py', 'README.md'}
    assert (destination / 'one.py').read_text() == (folder / 'one.py').read_text()


def test_copying_again_completes_and_leaves_equal_files_alone(folder, tmp_path, capsys):
    destination = tmp_path / 'configs'
    configs.copy_configs(destination)
    (destination / 'two.py').unlink()
    before = (destination / 'one.py').stat().st_mtime_ns
    assert main(['configs', '--copy', str(destination)]) == 0
    assert '1 files copied, 3 already there' in capsys.readouterr().out
    assert (destination / 'one.py').stat().st_mtime_ns == before


def test_a_changed_file_stops_the_copy_before_it_begins(folder, tmp_path, capsys):
    destination = tmp_path / 'configs'
    destination.mkdir()
    (destination / 'two.py').write_text('edited = True\n')
    assert main(['configs', '--copy', str(destination)]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'two.py: differs' in error
    assert (destination / 'two.py').read_text() == 'edited = True\n'
    assert not (destination / 'one.py').exists()


def test_a_file_in_place_of_the_folder_is_named(folder, tmp_path):
    (tmp_path / 'taken').write_text('')
    with pytest.raises(UserError, match=r'taken.*writable folder'):
        configs.copy_configs(tmp_path / 'taken')
