"""Markdown pages: their blocks of code, and how these are tested; their headings and links."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SHELL, PYTHON = ('bash', 'shell', 'sh', 'console'), ('python', 'py')
_BLOCK = re.compile(
    r'(?:^<!-- test: (?P<how>[^\n]+?) -->\n\n?)?^(?P<fence>```+)(?P<language>\w*)\n(?P<code>.*?)^(?P=fence)$',
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)\)')


class Block(NamedTuple):
    """A fenced block.

    Attributes:
        line: Line of its fence.
        language: What stands behind the fence.
        code: Its text.
        how: What the comment `<!-- test: ... -->` above it says, or `<!-- test page: ... -->` for all blocks of a page
            that have none; empty without either. One of

            - `not run, REASON`,
            - `with WORD=VALUE ...`: words of a shell block that stand for others,
            - `without PATH`: a folder that is removed before,
            - `saved as PATH`, `added to PATH`: Python that is a file, or the end of one,
            - `edits PATH`: Python assignments that take the place of those of the same names in a file,
            - `output`: what the block before prints.
    """

    line: int
    language: str
    code: str
    how: str

    @property
    def runs(self) -> bool:
        """Whether it is code that is to be run."""
        return self.language in (*SHELL, *PYTHON) and not self.how.startswith('not run')


def pages() -> list[Path]:
    """Every page that is read by users and contributors, without CHANGELOG.md."""
    named = ('README.md', 'CONTRIBUTING.md', 'configs/README.md', 'benchmarks/README.md')
    return [*(ROOT / name for name in named), *sorted((ROOT / 'docs').rglob('*.md'))]


def blocks(text: str) -> list[Block]:
    """Fenced blocks of a page.

    Args:
        text: Markdown.
    """
    page = re.search(r'^<!-- test page: (.+) -->$', text, flags=re.MULTILINE)
    rule = page[1] if page else ''
    return [
        Block(text.count('\n', 0, match.start('fence')) + 1, match['language'], match['code'], match['how'] or rule)
        for match in _BLOCK.finditer(text)
    ]


def without_blocks(text: str) -> str:
    """A page without its blocks.

    Args:
        text: Markdown.
    """
    return _BLOCK.sub('', text)


def links(text: str) -> Iterator[str]:
    """Targets of links and pictures.

    Args:
        text: Markdown.
    """
    yield from _LINK.findall(re.sub(r'`[^`\n]+`', '', without_blocks(text)))


def anchors(text: str) -> set[str]:
    """Anchors that forges give the headings: small letters, digits, hyphens; a number where one is taken.

    Args:
        text: Markdown.
    """
    found: set[str] = set()
    for heading in re.findall(r'^#{1,6} (.+)$', without_blocks(text), flags=re.MULTILINE):
        words = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', heading).replace('`', '').strip().lower()
        name = re.sub(r'[^\w\- ]', '', words).replace(' ', '-')
        number = next(n for n in range(len(found) + 1) if (f'{name}-{n}' if n else name) not in found)
        found.add(f'{name}-{number}' if number else name)
    return found


def commands(code: str) -> Iterator[list[str]]:
    """Words of each command of a shell block.

    Args:
        code: The block.
    """
    for line in code.replace('\\\n', ' ').splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars='();|&<>')
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ';']:
            if word not in (';', '&&', '||', '|'):
                words.append(word)
            elif words:
                yield words
                words = []
