"""What the benchmark asks of git: a copy of the committed code, and a commit of single files."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path

_ATTEMPTS = 30
_lock = threading.Lock()


def git(repository: Path, *arguments: str) -> str:
    """Output of a git command.

    Args:
        repository: The checkout.
        arguments: Command and arguments.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    command = ['git', '-C', str(repository), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def copy_of_commit(repository: Path, folder: Path) -> Path:
    """Code of the checkout's latest commit, in a folder of its own that is made once.

    Args:
        repository: The checkout.
        folder: Where copies are kept, by commit.

    Returns:
        The copy.
    """
    copy = folder / git(repository, 'rev-parse', 'HEAD')
    if not copy.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        paths = ('benchmarks', 'configs', 'dlc_mmseg', ':(exclude)benchmarks/results')
        command = ['git', '-C', str(repository), 'archive', '--format=tar', copy.name, *paths]
        archive = subprocess.run(command, check=True, capture_output=True).stdout
        part = tempfile.mkdtemp(dir=folder)
        with tarfile.open(fileobj=io.BytesIO(archive)) as file:
            file.extractall(part, filter='data')
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(part, copy)
    return copy


def commit_file(repository: Path, path: Path, message: str) -> None:
    """Commit one file and nothing else, whatever is staged; waits while another process holds the index.

    Args:
        repository: The checkout.
        path: The file.
        message: Message of the commit.

    Raises:
        subprocess.CalledProcessError: If git refuses for another reason, or for too long.
    """
    name = str(path.relative_to(repository))
    with _lock:
        for attempt in range(_ATTEMPTS):
            try:
                git(repository, 'add', '--', name)
                if git(repository, 'status', '--porcelain', '--', name):
                    git(repository, 'commit', '--quiet', '--message', message, '--', name)
                return
            except subprocess.CalledProcessError as error:
                if 'index.lock' not in error.stderr or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(1)
