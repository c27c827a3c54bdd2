"""Jobs in several processes that end with the process that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import BaseContext
from typing import TypeVar

from dlc_mmseg.errors import UserError

_Result = TypeVar('_Result')


def _context() -> BaseContext:
    """Fresh processes: the imports, seconds of them, are paid once where the system can fork a clean server."""
    if 'forkserver' not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context('spawn')
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])  # and with it the whole package
    return context


def _start_worker() -> None:
    """A worker finishes its job on Ctrl-C, as its parent waits for it, and dies with a killed parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def run_jobs(function: Callable[..., _Result], jobs: Sequence[tuple[object, ...]], workers: int) -> Iterator[_Result]:
    """Call a function once per job.

    Args:
        function: A function of a module, picklable as its arguments and results are.
        jobs: Arguments of each call.
        workers: Processes; one job or one worker runs in this process.

    Yields:
        Results as they come; the first exception ends the run after the jobs at work are done.

    Raises:
        UserError: If a process dies.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from (function(*job) for job in jobs)
        return
    pool = ProcessPoolExecutor(workers, mp_context=_context(), initializer=_start_worker)
    try:
        futures: list[Future[_Result]] = [pool.submit(function, *job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f'--workers {workers}',
            'a worker process died, perhaps for lack of memory',
            'run again with fewer workers, it continues where it stopped',
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
