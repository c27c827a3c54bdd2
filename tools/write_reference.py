"""Write the pages below docs/reference from docstrings and from the options of the commands (`make docs`).

Griffe (pip install griffelib) reads the code without importing it; commands are asked for their options.

Example:
    python tools/write_reference.py            # writes what has changed
    python tools/write_reference.py --check    # says what is out of date, and ends with status 1
"""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / 'docs' / 'reference'
NOTE = '<!-- written by tools/write_reference.py from docstrings: change these, then `make docs` -->\n'
ROOMS = {
    'functional': 'Pure functions of `dlc_mmseg.functional`: tensors in, tensors out.',
    'models': 'What configs name under `model`, and what stands in it.',
    'datasets': 'What configs name in data loaders and pipelines.',
    'engine': 'Hooks, metrics and the runner.',
}


def main() -> None:
    """Write the pages, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing; status 1 if a page is out of date')
    args = parser.parse_args()
    pages = reference()
    stale = [
        name for name, text in pages.items() if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != text
    ]
    if not args.check:
        FOLDER.mkdir(exist_ok=True)
        for name in stale:
            (FOLDER / name).write_text(pages[name], encoding='utf-8')
    print(f'{FOLDER}: {", ".join(stale) or "nothing"} {"out of date" if args.check else "written"}')
    raise SystemExit(args.check and bool(stale))


def reference() -> dict[str, str]:
    """Text of every page by its name."""
    package = griffe.load(
        'dlc_mmseg', search_paths=[ROOT], docstring_parser=griffe.Parser.google, allow_inspection=False
    )
    pages = {f'{room}.md': room_page(package, room, summary) for room, summary in ROOMS.items()}
    pages['commands.md'] = commands_page()
    return pages


def room_page(package: Any, room: str, summary: str) -> str:
    """Page of one room: the public functions of `functional`, the registered classes of the others.

    Args:
        package: The package as griffe has read it.
        room: Name of the room.
        summary: First sentence of the page.
    """
    found = list(_public(package[room]) if room == 'functional' else _registered(package[room]))
    found.sort(key=lambda member: (member.path.rpartition('.')[0], member.lineno))
    contents = ' · '.join(f'[{member.name}](#{member.name.lower()})' for member in found)
    parts = [f'# Reference: {room}\n\n{NOTE}\n{summary}\n\n{contents}\n']
    parts += [_member(member) for member in found]
    return '\n'.join(parts)


def _public(module: Any) -> Iterator[Any]:
    for name in module.exports:
        member = module[str(name)]
        yield member.final_target if member.is_alias else member


def _registered(module: Any) -> Iterator[Any]:
    for member in module.members.values():
        if member.is_alias:
            continue
        if member.is_module:
            yield from _registered(member)
        elif member.is_class and any('register_module' in str(decorator.value) for decorator in member.decorators):
            yield member


def _member(member: Any) -> str:
    """One class or function."""
    call = member
    if member.is_class:
        call = member.members.get('__init__', member)
    parameters = [p for p in getattr(call, 'parameters', ()) if p.name != 'self']
    place = f'`{member.relative_package_filepath.as_posix()}`'
    text = f'## {member.name}\n\n{place}\n'
    if parameters:
        text += f'\n```\n{_signature(member.name, parameters)}\n```\n'
    if member.docstring:
        defaults = {p.name.lstrip('*'): p for p in parameters}
        text += ''.join('\n' + _section(section, defaults) for section in member.docstring.parsed)
    return text


def _signature(name: str, parameters: list[Any]) -> str:
    words, keyword = [], False
    for parameter in parameters:
        if parameter.kind is griffe.ParameterKind.keyword_only and not keyword:
            words.append('*')
            keyword = True
        prefix = {griffe.ParameterKind.var_positional: '*', griffe.ParameterKind.var_keyword: '**'}.get(
            parameter.kind, ''
        )
        default = '' if parameter.default is None or prefix else f'={parameter.default}'
        words.append(f'{prefix}{parameter.name}{default}')
    line = f'{name}({", ".join(words)})'
    return line if len(line) <= 100 else f'{name}(\n    ' + ',\n    '.join(words) + ',\n)'


def _section(section: Any, parameters: dict[str, Any]) -> str:
    """One section of a docstring."""
    kind, value = section.kind.value, section.value
    if kind == 'text':
        return _prose(value) + '\n'
    if kind == 'admonition':
        return f'**{section.title or value.kind.capitalize()}**\n\n' + _example(value.contents)
    if kind == 'examples':
        return '**Example**\n\n' + ''.join(_example(text) for _, text in value)
    items = []
    for item in value:
        name = getattr(item, 'name', '') or ''
        words = [f'`{name}`'] if name else []
        if kind in ('parameters', 'attributes') and (item.annotation or name in parameters):
            words.append(f'(`{item.annotation or parameters[name].annotation}`)')
        elif kind == 'raises' or (kind == 'returns' and item.annotation):
            words.append(f'`{item.annotation}`')
        description = _prose(item.description).replace('\n', '\n  ')
        items.append(f'- {" ".join(words)}{": " if words else ""}{description}')
    title = {'parameters': 'Arguments'}.get(kind, kind.capitalize())
    return f'**{title}**\n\n' + '\n'.join(items) + '\n'


def _prose(text: str) -> str:
    """Text of a docstring as Markdown: what is code stays so, signs of Markdown outside of it are kept as they are."""
    parts = re.split(r'(``[^`]+``|`[^`]+`)', inspect.cleandoc(text))
    return ''.join(part if number % 2 else re.sub(r'([*<])', r'\\\1', part) for number, part in enumerate(parts))


def _example(text: str) -> str:
    """Prose and interpreter sessions of an example."""
    parts = re.split(r'((?:^>>>.*\n?(?:(?!\n).+\n?)*)+)', inspect.cleandoc(text), flags=re.MULTILINE)
    return ''.join(
        f'```\n{part.strip()}\n```\n' if part.startswith('>>>') else f'{_prose(part).strip()}\n\n'
        for part in parts
        if part.strip()
    )


def commands_page() -> str:
    """Page of the options of `dlc-mmseg`'s subcommands."""
    from dlc_mmseg import cli

    usage = '`dlc-mmseg COMMAND --help` says the same. Words of options may be joined by `-` or by `_`.'
    parts = [f'# Reference: commands\n\n{NOTE}\n{usage}\n']
    for name, summary in cli.COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f'dlc-mmseg {name}')
        cli._module(name).configure(parser)
        rows = [_option(parser, action) for action in parser._actions if action.help != argparse.SUPPRESS]
        parts.append(
            f'## {name}\n\n{summary[0].upper()}{summary[1:]}.\n\n| argument | meaning |\n|---|---|\n'
            + '\n'.join(rows[1:])
            + '\n'
        )
    return '\n'.join(parts)


def _option(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    formatter = parser._get_formatter()
    default = action.metavar or action.dest.upper()
    value = formatter._format_args(action, default if isinstance(default, str) else action.dest.upper())
    name = max(action.option_strings, key=len, default='')
    words = f'{name} {value}'.strip() if action.nargs != 0 else name
    explained = formatter._expand_help(action) if action.help else ''
    return '| `{}` | {} |'.format(*(text.replace('|', r'\|').replace('\n', ' ') for text in (words, explained)))


if __name__ == '__main__':
    main()
