"""A progress bar, shown on terminals only."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.progress import track


def progress_bar(items: Iterable[Any], description: str, total: int) -> Iterable[Any]:
    """Pass items on, with a progress bar on a terminal that is gone when it is full.

    Args:
        items: What to pass on.
        description: What is done to them.
        total: How many there are.

    Returns:
        The items.
    """
    console = Console(stderr=True)
    hidden = not sys.stderr.isatty() or total < 2
    return track(items, description, total, console=console, transient=True, disable=hidden)
