"""Options of several words, with either spelling."""

from __future__ import annotations

import argparse


def add_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup, name: str, **settings: object) -> None:
    """Add ``--some_name``, spelt ``--some-name`` as well.

    Args:
        parser: Where to add it.
        name: Its name with underscores.
        settings: What `add_argument` takes.
    """
    spellings = dict.fromkeys([f'--{name}', f'--{name.replace("_", "-")}'])
    parser.add_argument(*spellings, **settings)  # type: ignore[arg-type]
