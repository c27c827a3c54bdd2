"""The speed benchmark: the command as one runs it, on few points."""

from __future__ import annotations

import json
import multiprocessing
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')


def test_command_writes_both_files(tmp_path, monkeypatch, capsys):
    import transition_speed

    monkeypatch.setattr(transition_speed, 'peaks_of', lambda *_: {'product': 1.0, 'ours': 2.0, 'plain': None})
    size = ['--points', '300', '--classes', '3', '--dimensions', '8', '--rounds', '1']
    monkeypatch.setattr(sys, 'argv', ['transition_speed.py', *size, '--output', str(tmp_path)])
    threads = torch.get_num_threads()
    try:
        transition_speed.main()
    finally:
        torch.set_num_threads(threads)
    data = json.loads((tmp_path / 'transition_speed.json').read_text(encoding='utf-8'))
    (result,) = data['results']
    seconds = result['seconds']
    assert all(value > 0 for value in seconds.values())
    assert '| 300 | 3 |' in (tmp_path / 'transition_speed.md').read_text(encoding='utf-8')
    assert 'plain / ours' in capsys.readouterr().out


def test_both_steps_give_the_same_gradient():
    from transition_speed import our_step, plain_step, problem

    given = problem(200, 4, 8)
    torch.testing.assert_close(our_step(given), plain_step(given), atol=1e-6, rtol=1e-4)


@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(), reason='peak memory is read from /proc')
def test_peak_memory_sees_what_a_step_holds():
    from transition_speed import peak_of

    context = multiprocessing.get_context('spawn')  # in a process that ran other things, freed memory is used again
    queue = context.Queue()
    process = context.Process(target=peak_of, args=('product', (4000, 2, 8), queue))
    process.start()
    found = queue.get(timeout=300)
    process.join()
    assert 10 < found < 60  # 1024 x 4000 floats are 15.6 MiB
