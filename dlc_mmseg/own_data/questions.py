"""What cannot be seen from the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlc_mmseg.errors import UserError

_LISTED = 6


@dataclass(frozen=True)
class Question:
    """A choice that only the user can make.

    Attributes:
        where: File or folder that leaves it open.
        what: What is open.
        choices: What there is to choose from.
        option: Option of the command line that makes the choice.
    """

    where: str
    what: str
    choices: tuple[str, ...]
    option: str


Ask = Callable[[Question], int]
"""Answers a question by the number of the choice."""


def refuse(question: Question) -> int:
    """Answer of scripts, which cannot be asked.

    Raises:
        UserError: Always; it names the option.
    """
    raise UserError(question.where, question.what, f'name it with {question.option}: {_listed(question.choices)}')


def choose(choices: Sequence[str], question: Question, ask: Ask) -> int:
    """The only choice, or the one that is asked for."""
    return 0 if len(choices) == 1 else ask(question)


def _listed(choices: Sequence[str]) -> str:
    more = f' or one of {len(choices) - _LISTED} more' if len(choices) > _LISTED else ''
    return ', '.join(choices[:_LISTED]) + more
