"""Whether a command that tests do not run exists, with every option that a page gives it."""

from __future__ import annotations

import contextlib
import importlib
import re
from pathlib import Path

import mmseg
from documentation.pages import ROOT

TOOLS = Path(mmseg.__path__[0], '.mim', 'tools')
WITHOUT_CHECK = ('cd', 'export', 'git', 'python3')


def unknown(words: list[str]) -> str:
    """What is wrong with a command; empty if nothing is.

    Args:
        words: Its words.
    """
    while words and re.match(r'\w+=', words[0]):
        if words[0].endswith('=$'):  # the words in brackets are another command's
            return ''
        words = words[1:]
    if not words or words[0] in WITHOUT_CHECK:
        return ''
    check = {'dlc-mmseg': _dlc, 'mim': _mim, 'python': _python, 'pip': _pip, 'make': _make, 'torchrun': _torchrun}
    return check[words[0]](words[1:]) if words[0] in check else f'no check knows the program {words[0]}'


def _dlc(words: list[str]) -> str:
    from dlc_mmseg import cli

    with contextlib.suppress(SystemExit):
        cli._parse(words)
        return ''
    return 'dlc-mmseg does not take these arguments'


def _mim(words: list[str]) -> str:
    from mim.cli import cli

    if words[0] not in ('train', 'test'):
        return '' if words[0] in cli.list_commands(None) else f'mim has no command {words[0]}'
    command = importlib.import_module(f'mim.commands.{words[0]}').cli
    own = {option for parameter in command.params for option in parameter.opts}
    return _options([word for word in words if word not in own], [TOOLS / f'{words[0]}.py'])


def _python(words: list[str]) -> str:
    script = words[0].replace('$TOOLS', str(TOOLS))
    path = Path(script) if Path(script).is_absolute() else ROOT / script
    if not path.is_file():
        return f'there is no {words[0]}'
    beside = [*path.parent.glob('*/arguments.py'), *(ROOT / 'dlc_mmseg' / 'commands').glob('*.py')]
    return _options(words[1:], [path, *(beside if path.is_relative_to(ROOT) else [])])


def _options(words: list[str], sources: list[Path]) -> str:
    code = ''.join(path.read_text(encoding='utf-8') for path in sources)
    for word in words:
        name = word.partition('=')[0]
        if re.match(r'--\S+$', word) and not {f"'{name}'", f"'{name[2:]}'"} & set(re.findall(r"'[\w-]+'", code)):
            return f'{sources[0].name} has no option {name}'
    return ''


def _pip(words: list[str]) -> str:
    project = (ROOT / 'pyproject.toml').read_text(encoding='utf-8').partition('[project.optional-dependencies]')[2]
    known = re.findall(r'^(\w+) = \[', project, flags=re.MULTILINE)
    for word in words:
        own = re.fullmatch(r'(?:\.|dlc-mmseg|dlc_mmseg-[\d.]+-py3-none-any\.whl)\[([\w,]+)\]', word)
        missing = set(own[1].split(',')) - set(known) if own else set()
        if missing:
            return f'there is no extra {", ".join(missing)}'
    return ''


def _make(words: list[str]) -> str:
    text = (ROOT / 'Makefile').read_text(encoding='utf-8')
    for word in words:
        name, equals, _ = word.partition('=')
        if not re.search(
            rf'^{name} \??=' if equals else rf'^(?:[\w-]+ )*{name}(?: [\w-]+)*:', text, flags=re.MULTILINE
        ):
            return f'the Makefile has no {name}'
    return ''


def _torchrun(words: list[str]) -> str:
    from torch.distributed.run import get_args_parser

    with contextlib.suppress(SystemExit):
        get_args_parser().parse_args(words)
        return ''
    return 'torchrun does not take these arguments'
