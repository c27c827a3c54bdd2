"""Problems found, one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from dlc_mmseg.errors import UserError, shown_path

Severity = Literal['error', 'warning']

RAISED = (Exception, SystemExit)
"""What parts of any package may raise while they are built or run: some end the process where they should raise."""


@dataclass(frozen=True)
class Problem:
    """Something that would stop or spoil a run.

    Attributes:
        severity: An ``error`` stops training or makes it meaningless; a ``warning`` may be meant.
        where: File or field of the config.
        what: What is wrong with it.
        remedy: What to do about it.
    """

    severity: Severity
    where: str
    what: str
    remedy: str

    @property
    def line(self) -> str:
        """The problem on one line, whatever the file names hold."""
        return printable(f'{self.where}: {self.what}: {self.remedy}')


@dataclass
class Report:
    """Collects problems; the same one is kept once.

    Attributes:
        problems: What was found so far, in order.
        images: Number of images by role (``source``, ``target``, ``validation``).
    """

    problems: list[Problem] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)

    def error(self, where: object, what: str, remedy: str) -> None:
        """Note what stops or spoils training.

        Args:
            where: File or field.
            what: What is wrong.
            remedy: What to do.
        """
        self._add(Problem('error', shown_path(where), what, remedy))

    def warning(self, where: object, what: str, remedy: str) -> None:
        """Note what may be meant.

        Args:
            where: File or field.
            what: What looks wrong.
            remedy: What to do.
        """
        self._add(Problem('warning', shown_path(where), what, remedy))

    def files(self, severity: Severity, paths: Sequence[str], what: str, remedy: str) -> None:
        """Note one fault of many files on one line that names the first.

        Args:
            severity: ``error`` or ``warning``.
            paths: The files; none adds nothing.
            what: What is wrong with each.
            remedy: What to do.
        """
        if paths:
            others = f' (and {len(paths) - 1} more)' if len(paths) > 1 else ''
            self._add(Problem(severity, shown_path(paths[0]), f'{what}{others}', remedy))

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Make a problem of whatever a part raises while it is checked, so that the other checks go on.

        Args:
            what: Field of the config that is checked.
        """
        try:
            yield
        except UserError as error:
            self.error(error.where or what, error.what, error.remedy)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001, parts of any package, such as panics of compiled ones
            found = f'could not be checked to the end ({type(error).__name__}: {one_line(error)})'
            self.warning(what, found, 'correct what this names; if nothing is wrong there, report it with the config')

    @property
    def errors(self) -> list[Problem]:
        """Problems that must be solved before training."""
        return [problem for problem in self.problems if problem.severity == 'error']

    @property
    def warnings(self) -> list[Problem]:
        """Problems that may be meant."""
        return [problem for problem in self.problems if problem.severity == 'warning']

    @property
    def counts(self) -> str:
        """How many images were found, for people."""
        source, target = self.images.get('source', 0), self.images.get('target', 0)
        validation = self.images.get('validation')
        tail = '' if validation is None else f', {validation} validation images'
        return f'{source} source and {target} target images{tail}'

    def _add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


class Track(Protocol):
    """Shows progress while something is iterated over."""

    def __call__(self, items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
        """The same items.

        Args:
            items: What to iterate over.
            description: What is done with them.
            total: How many there are.
        """


def silent(items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
    """Show no progress.

    Args:
        items: What to iterate over.
        description: Unused.
        total: Unused.
    """
    return items


def printable(text: str) -> str:
    """Text that prints on one line in any terminal.

    Args:
        text: Anything, also names with line breaks or bytes that are no text.

    Returns:
        The text with escapes in place of characters that cannot be printed.
    """
    return ''.join(
        char if char.isprintable() else char.encode('unicode_escape', 'surrogatepass').decode('ascii') for char in text
    )


def one_line(error: BaseException) -> str:
    """What an exception says, on one line; one that says a word or nothing is named.

    Args:
        error: The exception.
    """
    text = ' '.join(str(error).split()).partition('. Please check')[0]  # of MMEngine's registries
    quoted = len(text) > 1 and text[0] in '\'"' and text.count(text[0]) == 2 and text[-1] == text[0]
    text = text[1:-1] if quoted else text
    name = type(error).__name__
    return text if ' ' in text else f'{name}: {text}' if text else name
