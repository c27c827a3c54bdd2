"""The demo data of the benchmarks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def make_demo_data(repository: Path) -> None:
    """Draw the demo data and cut them into tiles, as `make demo` does; what is there stays."""
    raw, data = repository / 'data' / 'demo_raw', repository / 'data' / 'demo'
    cut = ['--clip_size', '128', '--stride_size', '128']
    commands = [
        ['make-demo-data', '--out_dir', raw, '--seed', '0'],
        ['convert-potsdam', '--dataset_path', raw / 'potsdam', '--out_dir', data / 'potsdam', *cut, '--bands', 'irrg'],
        ['convert-vaihingen', '--dataset_path', raw / 'vaihingen', '--out_dir', data / 'vaihingen', *cut],
    ]
    program = [sys.executable, '-c', 'from dlc_mmseg.cli import console; console()']
    drawn = (raw / 'demo_data.json').is_file()
    for command in commands[1:] if drawn else commands:
        subprocess.run([*program, *map(str, command)], check=True)
