"""How far maps are, and how long they will still take."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 60.0


class MapProgress:
    """A bar with the remaining time on a terminal; elsewhere a line every minute.

    Args:
        total: Windows of all images.
    """

    def __init__(self, total: int) -> None:
        self._total, self._done = total, 0
        self._started = self._last = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task('windows', total=total)

    def __enter__(self) -> MapProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def image(self, name: str) -> None:
        """Say which image is being mapped.

        Args:
            name: The image.
        """
        if self._bar is not None:
            self._bar.update(self._task, description=name)

    def advance(self, windows: int) -> None:
        """Count windows that are done.

        Args:
            windows: How many.
        """
        self._done += windows
        if self._bar is not None:
            self._bar.advance(self._task, windows)
            return
        now = time.monotonic()
        if now - self._last > _SECONDS_BETWEEN_LINES and 0 < self._done < self._total:
            self._last = now
            left = (now - self._started) * (self._total - self._done) / self._done
            print(f'{self._done / self._total:.0%} done, {remaining(left)} left', file=sys.stderr, flush=True)


def remaining(seconds: float) -> str:
    """A duration for people.

    Args:
        seconds: Its length.
    """
    minutes = round(seconds / 60)
    if minutes < 1:
        return 'less than a minute'
    return f'{minutes} min' if minutes < 120 else f'{minutes // 60} h {minutes % 60:02d} min'
