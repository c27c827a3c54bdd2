"""Processes that come and go with their parent."""

from __future__ import annotations

import os

import pytest

from dlc_mmseg.converters.workers import run_jobs
from dlc_mmseg.errors import UserError


def test_one_worker_stays_in_this_process():
    assert list(run_jobs(lambda a, b: (a + b, os.getpid()), [(1, 2), (3, 4)], 1)) == [
        (3, os.getpid()),
        (7, os.getpid()),
    ]
    assert list(run_jobs(print, [], 4)) == []


def test_several_workers_are_other_processes():
    results = list(run_jobs(os.path.join, [('a', 'b'), ('c', 'd'), ('e', 'f')], 2))
    assert sorted(results) == ['a/b', 'c/d', 'e/f']
    assert os.getpid() not in set(run_jobs(os.getpid, [(), ()], 2))


def test_exception_of_a_job_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(run_jobs(divmod, [(1, 1), (1, 0)], 2))


def test_dead_worker_is_reported():
    with pytest.raises(UserError, match='--workers 2: a worker process died'):
        list(run_jobs(os._exit, [(3,), (3,)], 2))
