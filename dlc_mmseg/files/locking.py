"""Locks on open files, which the system lifts when the process that holds them ends."""

from __future__ import annotations

from typing import IO, Any


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file for this process until it is closed, without waiting.

    Args:
        file: The open file.

    Returns:
        False if another holds the lock; True if not, and also where the system or the disk knows no locks.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # file systems without locks
        return True
    return True
