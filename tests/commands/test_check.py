"""`dlc-mmseg check`: what it prints and how it ends."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from tiny_run import run_config, write_pair

from dlc_mmseg import cli
from dlc_mmseg.checks import preflight


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Path of the config of a valid pair, in a folder with a trying name."""
    root = tmp_path / "a user's $data (ü)"
    write_pair(root)
    monkeypatch.chdir(root)
    path = root / 'my config.py'
    content = run_config(root).to_dict()
    del content['work_dir']
    Config(content).dump(str(path))
    return path


def check(*arguments):
    return cli.main(['check', *map(str, arguments)])


@pytest.mark.parametrize('options', [[], ['--quick']])
def test_a_valid_config_ends_with_a_count_and_status_0(config, capsys, options):
    files = sorted(config.parent.rglob('*'))
    assert check(config, *options) == 0
    captured = capsys.readouterr()
    assert captured.out == 'no problems found in 3 source and 4 target images, 2 validation images\n'
    assert captured.err == ''
    assert sorted(config.parent.rglob('*')) == files


def test_errors_are_listed_and_end_with_status_2(config, capsys):
    (config.parent / 'target/img/t01.png').write_bytes(b'')
    options = ['model.transition.total_iterations=7', 'model.segmentor.decode_head.num_classes=5']
    assert check(config, '--cfg-options', *options) == 2
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert [line.split(': ')[0] for line in lines] == ['error', 'error', 'warning']
    assert 'decode_head.num_classes: is 5' in lines[0]
    assert 't01.png: target image is empty' in lines[1]
    assert 'total_iterations' in lines[2]
    assert captured.err.startswith('dlc-mmseg check: error: ')
    assert captured.err.count('\n') == 1
    assert '2 errors and 1 warning in 3 source and 4 target images' in captured.err


def test_warnings_alone_end_with_status_0(config, capsys):
    assert check(config, '--cfg-options', 'model.transition.total_iterations=7') == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith('1 warning, no errors in 3 source')


def test_the_work_dir_is_that_of_training(config, capsys):
    (config.parent / 'work_dirs').write_text('a file', encoding='utf-8')
    assert check(config) == 2
    assert 'work_dirs/my config: work_dir cannot be made' in capsys.readouterr().out
    assert check(config, '--work-dir', 'elsewhere') == 0


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        (None, 'no such config'),
        ('\ufeffmodel = dict()', 'begins with a byte order mark'),
        ('model = dict(', 'cannot be read as a config'),
        ("_base_ = './none.py'", 'cannot be read as a config'),
        ("custom_imports = dict(imports=['no_such_module'])", 'cannot be read as a config'),
    ],
)
def test_a_config_that_cannot_be_read_is_one_line(tmp_path, capsys, text, words):
    path = tmp_path / 'x.py'
    if text:
        path.write_text(text, encoding='utf-8')
    assert check(path) == 2
    error = capsys.readouterr().err
    assert words in error
    assert str(path) in error
    assert error.count('\n') == 1


@pytest.mark.parametrize('name', ['dlc_demo', 'dlc_potirrg2vai', 'dlc_whuopt2sar', 'dlc_custom'])
def test_the_configs_that_come_along_miss_nothing_but_data(name, tmp_path, monkeypatch, capsys):
    from dlc_mmseg.commands.configs import configs_folder

    monkeypatch.chdir(tmp_path)
    if 'custom' not in name and 'demo' not in name:
        monkeypatch.setattr(preflight, '_build', lambda *_: None)  # takes seconds
    assert check(configs_folder() / f'{name}.py') == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) in (2, 3)
    assert all('image folder is missing' in line for line in lines), lines
