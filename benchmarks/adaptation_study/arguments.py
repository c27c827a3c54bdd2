"""The command line of `benchmarks/adaptation.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def parse_arguments(description: str, arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; names of data and variants are checked by the committed code.

    Args:
        description: What ``--help`` says.
        arguments: Arguments without the program's name; those of the process when None.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', metavar='NAME', help='demo, landcover, drone, buildings, … (default: all)')
    parser.add_argument('--variants', nargs='+', metavar='NAME', help='rows to run (default: all)')
    parser.add_argument('--seeds', nargs='+', type=int, metavar='N', help='default: 0-4 for demo, 0-2 for the others')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time')
    parser.add_argument('--threads', type=int, default=1, help='threads of a run')
    parser.add_argument('--gpus', type=int, default=0, help='GPUs of a run; 0 trains on the CPU')
    parser.add_argument('--commit', action='store_true', help='commit each result at once, and the README of --table')
    parser.add_argument('--again', action='store_true', help='measure results of other code anew, too')
    parser.add_argument('--list', action='store_true', help='only print what is missing')
    parser.add_argument('--table', action='store_true', help='only write the tables into benchmarks/README.md')
    parser.add_argument('--work_dir', type=Path, help='logs and checkpoints (default: work_dirs/adaptation)')
    parser.add_argument('--repository', type=Path, help=argparse.SUPPRESS)  # set by the script for the committed code
    return parser.parse_args(arguments)
