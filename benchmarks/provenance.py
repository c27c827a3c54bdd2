"""What a result file says about its origin: command, commit, machine, versions; and the writing of both files."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]


def commit() -> str:
    """Short hash of the checkout's commit, with '+' where the package or the benchmarks are changed; or 'unknown'."""
    try:
        head = subprocess.run(
            ['git', 'rev-parse', '--short', 'HEAD'], cwd=ROOT, capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            ['git', 'status', '--porcelain', '--untracked-files=no', 'dlc_mmseg', 'benchmarks/*.py'],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'
    return head.stdout.strip() + ('+' if changed.stdout.strip() else '')


def processor() -> str:
    """Model name of the processor, where the system tells."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.machine()


def origin() -> dict[str, Any]:
    """Command, commit, machine, versions and date of this run."""
    script = Path(sys.argv[0]).name
    return {
        'command': shlex.join(['python', f'benchmarks/{script}', *sys.argv[1:]]),
        'commit': commit(),
        'machine': f'{processor()}, {os.cpu_count()} cores',
        'versions': f'Python {platform.python_version()}, torch {torch.__version__}',
        'date': time.strftime('%Y-%m-%d'),
    }


def write_results(folder: Path, name: str, title: str, body: str, data: dict[str, Any], source: dict[str, Any]) -> Path:
    """Write ``<name>.md`` (title, origin, body) and ``<name>.json`` (origin and data); the Markdown's path.

    ``source`` is `origin`, asked before measuring: the code that was measured, whatever is committed meanwhile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    head = '\n'.join(f'- {key}: {value}' for key, value in (source | {'command': f'`{source["command"]}`'}).items())
    path = folder / f'{name}.md'
    path.write_text(f'# {title}\n\n{head}\n\n{body.strip()}\n', encoding='utf-8')
    text = json.dumps({'origin': source, **data}, indent=1)
    (folder / f'{name}.json').write_text(text + '\n', encoding='utf-8')
    return path


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)
