"""Running the blocks of a page, one after the other, in the current folder."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from documentation.pages import SHELL, Block
from documentation.place import Place
from mmengine.config import Config
from mmseg.registry import MODELS


def run_page(found: Sequence[Block], place: Place) -> None:
    """Run blocks; those of Python share one namespace.

    Args:
        found: Blocks of the page.
        place: Whose programs are called.

    Raises:
        AssertionError: If a command fails or prints something else than the page shows.
        Exception: What a Python block raises.
    """
    names: dict[str, object] = {'__name__': 'page'}
    printed = ''
    for block in found:
        how, _, argument = block.how.partition(' ')
        if how == 'output':
            assert_shown(block.code, printed)
        elif not block.runs:
            continue
        elif block.language in SHELL:
            code = block.code
            if how == 'without':
                shutil.rmtree(argument)
            for pair in argument.split() if how == 'with' else ():
                word, _, value = pair.partition('=')
                code = re.sub(rf'(?<![\w/]){re.escape(word)}(?![\w/])', value, code)
            printed = place.run(code, Path.cwd())
        elif how in ('saved', 'added', 'edits'):
            path = Path(argument.rpartition(' ')[2])
            before = '' if how == 'saved' else path.read_text(encoding='utf-8')
            path.write_text(
                edited(before, block.code) if how == 'edits' else f'{before}\n{block.code}', encoding='utf-8'
            )
            if path.parent.name == 'configs':
                MODELS.build(Config.fromfile(path).model)
        else:
            exec(compile(block.code, f'line {block.line}', 'exec'), names)


def edited(text: str, code: str) -> str:
    """Code with other values for some of its variables.

    Args:
        text: The code.
        code: Assignments, each to the same names as one of the code's.
    """
    lines = text.splitlines()
    for new in ast.parse(code).body:
        assert isinstance(new, ast.Assign)
        (old,) = (
            node
            for node in ast.parse('\n'.join(lines)).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(new.targets[0])
        )
        lines[old.lineno - 1 : old.end_lineno] = [ast.unparse(new)]
    return '\n'.join(lines) + '\n'


def assert_shown(shown: str, printed: str) -> None:
    """Assert that a program printed what a page shows, in this order; numbers may differ, and `...` stands for more.

    Args:
        shown: Block of the page.
        printed: What the program printed.
    """
    parts = [part.strip() for part in re.split(r'^\s*\.\.\.$', shown, flags=re.MULTILINE)]
    place, text = 0, _comparable(printed)
    for part in parts:
        wanted = _comparable(part)
        place = text.find(wanted, place)
        assert place >= 0, f'the page shows\n{part}\nbut the program printed\n{printed[-4000:]}'
        place += len(wanted)


def _comparable(text: str) -> str:
    return re.sub(r'[ \t]+', ' ', re.sub(r'\d+(\.\d+)?', '0', text))
