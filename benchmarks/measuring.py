"""Costs that bear comparison: parts that take turns in one process, and peak memory in a process of its own."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from provenance import table


class Ratio(NamedTuple):
    """A figure of ours beside that of a reference, from one run.

    Attributes:
        what: What costs.
        ours: Our figure.
        beside: The reference.
        reference: Its figure.
        unit: Of both.
    """

    what: str
    ours: float
    beside: str
    reference: float
    unit: str


def table_of(ratios: list[Ratio]) -> str:
    """Ratios as a Markdown table."""
    rows = []
    for ratio in ratios:
        figures = [f'{value:.3g} {ratio.unit}' for value in (ratio.ours, ratio.reference)]
        rows.append([ratio.what, figures[0], ratio.beside, figures[1], f'{ratio.ours / ratio.reference:.2f}'])
    return table(['what', 'ours', 'beside', 'that', 'ratio'], rows)


def seconds(part: Callable[[], Any]) -> float:
    """Processor seconds of one call, which others on the machine change less than the clock."""
    start = time.process_time()
    part()
    return time.process_time() - start


def fastest(parts: dict[str, Callable[[], Any]], rounds: int, least: float = 0.05) -> dict[str, float]:
    """Least processor seconds of each part over rounds in which the parts take turns.

    Args:
        parts: What is timed, by name.
        rounds: How often each has its turn.
        least: A quick part is repeated within its turn until it has taken this many seconds.
    """
    best = dict.fromkeys(parts, float('inf'))
    for _ in range(rounds):
        for name, part in parts.items():
            spent, runs = 0.0, 0
            while runs == 0 or (spent < least and runs < 100):
                taken = seconds(part)
                best[name] = min(best[name], taken)
                spent, runs = spent + taken, runs + 1
    return best


def status(field: str) -> float:
    """MiB that the kernel tells of this process (Linux), e.g. ``VmRSS`` or ``VmHWM``."""
    lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def peak_above(base: float, part: Callable[[], Any]) -> float:
    """MiB above ``base`` that the process reaches while ``part`` runs."""
    Path('/proc/self/clear_refs').write_text('5', encoding='ascii')  # forgets earlier peaks
    part()
    return status('VmHWM') - base


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Result of a module's function in a new process, whose memory holds nothing else.

    Raises:
        RuntimeError: If the process ends without a result.
    """
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    process = context.Process(target=_put, args=(queue, function, arguments))
    process.start()
    while process.is_alive() and queue.empty():
        process.join(0.05)
    if queue.empty() and process.exitcode:
        raise RuntimeError(f'{function.__name__}{arguments} ended with status {process.exitcode}')
    result = queue.get()
    process.join()
    return result


def _put(queue: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    queue.put(function(*arguments))
