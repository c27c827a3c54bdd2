"""The one exception type for input a user can correct."""

from __future__ import annotations

from pathlib import Path


def shown_path(where: object) -> str:
    """A path as people write it, without the ``.`` and doubled slashes that joining folders leaves.

    Args:
        where: Path, or anything else that has no slashes in it; addresses (``s3://...``) stay as they are.
    """
    text = str(where)
    return str(Path(text)) if '/' in text and '://' not in text else text


class UserError(ValueError):
    """Bad input: which, what is wrong with it, and what to do. The message joins the three on one line.

    The command line prints it without a traceback and exits with status 2.

    Args:
        where: File, field of the config or option; None where there is no one place.
        what: What is wrong with it.
        remedy: What to do about it, in words that work when followed.

    Attributes:
        where: As given, as text, or None.
        what: As given.
        remedy: As given.
    """

    def __init__(self, where: object, what: str, remedy: str) -> None:
        self.where = None if where is None else shown_path(where)
        self.what = what
        self.remedy = remedy
        super().__init__(': '.join(part for part in (self.where, what, remedy) if part))

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        """Keep the parts when the error crosses processes."""
        return type(self), (self.where, self.what, self.remedy)
