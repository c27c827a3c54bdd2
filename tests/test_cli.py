"""The console script: what it lists, what it imports, how it ends."""

from __future__ import annotations

import argparse
import importlib
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from dlc_mmseg import cli
from dlc_mmseg.errors import UserError
from dlc_mmseg.version import __version__

TOOLS = Path(__file__).resolve().parents[1] / 'tools'
SCRIPTS = [path for path in sorted(TOOLS.rglob('*.py')) if 'dlc_mmseg.cli' in path.read_text(encoding='utf-8')]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A subcommand `try-it` whose `run` a test may replace."""
    module = SimpleNamespace(configure=lambda parser: parser.add_argument('--number', type=int), run=lambda args: None)
    monkeypatch.setitem(cli.COMMANDS, 'try-it', 'what it does')
    monkeypatch.setitem(sys.modules, 'dlc_mmseg.commands.try_it', module)
    return module


def test_help_lists_every_command_and_imports_none(monkeypatch, capsys):
    monkeypatch.setattr(importlib, 'import_module', None)
    with pytest.raises(SystemExit) as ended:
        cli.main(['--help'])
    assert ended.value.code == 0
    printed = ' '.join(capsys.readouterr().out.split())
    for name, summary in cli.COMMANDS.items():
        assert f'{name} {summary}' in printed


@pytest.mark.parametrize('name', cli.COMMANDS)
def test_every_command_has_help_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([name, '--help'])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert 'example' in printed.lower()
    assert f'dlc-mmseg {name}' in printed


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(['--version'])
    assert capsys.readouterr().out.split() == ['dlc-mmseg', __version__]


def test_arguments_reach_the_command(command):
    seen = []
    command.run = seen.append
    assert cli.main(['try-it', '--number', '3']) == 0
    assert isinstance(seen[0], argparse.Namespace)
    assert seen[0].number == 3


@pytest.mark.parametrize('argv', [[], ['no-such'], ['try-it', '--number', 'x'], ['try-it', '--other']])
def test_wrong_arguments_end_with_status_2(command, argv, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(argv)
    assert ended.value.code == 2
    assert 'error: ' in capsys.readouterr().err


def test_what_the_user_can_correct_is_one_line_without_a_traceback(command, capsys):
    def run(args):
        raise UserError('a.tif', 'truncated', 'download it again')

    command.run = run
    assert cli.main(['try-it']) == 2
    captured = capsys.readouterr()
    assert captured.err == 'dlc-mmseg try-it: error: a.tif: truncated: download it again\n'
    assert captured.out == ''


def test_any_other_error_keeps_its_traceback(command):
    def run(args):
        raise ValueError('a mistake in the code')

    command.run = run
    with pytest.raises(ValueError, match='a mistake'):
        cli.main(['try-it'])


def test_interruption_ends_with_status_130(command, capsys):
    def run(args):
        raise KeyboardInterrupt

    command.run = run
    assert cli.main(['try-it']) == 130
    assert 'interrupted' in capsys.readouterr().err


def test_the_console_script_passes_the_status_on(command, monkeypatch):
    def run(args):
        raise UserError(None, 'no', 'yes')

    command.run = run
    monkeypatch.setattr(sys, 'argv', ['dlc-mmseg', 'try-it'])
    with pytest.raises(SystemExit) as ended:
        cli.console()
    assert ended.value.code == 2


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.relative_to(TOOLS).as_posix())
def test_scripts_in_tools_call_a_command_and_pass_its_status_on(script, monkeypatch):
    called = []

    def main(argv):
        called.append(list(argv))
        return 2

    monkeypatch.setattr(cli, 'main', main)
    monkeypatch.setattr(sys, 'argv', [str(script), '--some', 'argument'])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name='__main__')
    assert ended.value.code == 2
    ((name, *rest),) = called
    assert name in cli.COMMANDS
    assert rest == ['--some', 'argument']
