"""Questions on a terminal."""

from __future__ import annotations

import sys

from dlc_mmseg.own_data.questions import Ask, Question, refuse


def asker(*, yes: bool) -> Ask:
    """Who answers questions: the user on a terminal, or nobody.

    Args:
        yes: Whether the user wants none.

    Returns:
        Something that answers; scripts, and whoever sits behind no terminal, get an error that names the option.
    """
    interactive = not yes and sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    return _prompt if interactive else refuse


def _prompt(question: Question) -> int:
    print(f'{question.where}: {question.what} ({question.option}):')
    for number, choice in enumerate(question.choices, 1):
        print(f'  {number}  {choice}')
    while True:
        try:
            text = input(f'1 to {len(question.choices)}: ').strip()
        except EOFError:
            return refuse(question)
        if text.isdecimal() and 1 <= int(text) <= len(question.choices):
            return int(text) - 1
