"""The accuracy benchmark: its parts, and the command as one runs it."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import pytest
import torch

from dlc_mmseg.functional import consensus_counts, consensus_loss, consensus_model, estimate_transition_matrix

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _benchmarks_importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'benchmarks')


def test_cells_are_those_of_the_protocol_and_marked():
    from known_noise import cells

    every = cells()
    assert len(every) == len(set(every)) == 4 * 3 * 3 * 2 * 2
    assert not any(cell.counts for cell in every if cell.kind == 'near-singular')
    left_out = {(cell.kind, cell.classes) for cell in every if cell.noise == 0.6 and not cell.counts}
    assert {('pair-flip', 19), ('symmetric', 2), ('random', 2)} <= left_out
    assert ('random', 6) not in left_out
    assert all(cell.counts for cell in every if cell.noise < 0.5 and cell.kind != 'near-singular')


def test_counted_cells_have_dominant_diagonals_and_draws_follow_t():
    from known_noise import Cell, cells, draw

    for cell in cells():
        points = draw(cell, 4, 0)
        torch.testing.assert_close(points.transition.sum(dim=1), torch.ones(cell.classes))
        dominant = bool((points.transition.argmax(dim=1) == torch.arange(cell.classes)).all())
        assert dominant or not cell.counts
    cell = Cell('random', 6, 0.4, 'long-tailed', 'clean')
    points, again, other = draw(cell, 20000, 0), draw(cell, 20000, 0), draw(cell, 20000, 1)
    assert torch.equal(points.features, again.features)
    assert not torch.equal(points.transition, other.transition)
    shares = torch.bincount(points.true) / 20000
    assert shares[0] / shares[5] == pytest.approx(10, rel=0.15)
    assert (points.noisy != points.true).float().mean() == pytest.approx(0.4, abs=0.1)


def test_published_recipe_equals_the_package_where_they_meet():
    from plain_recipe import count_with_loops, loss_with_loops, shares_of_triples, two_nearest

    from dlc_mmseg.functional import nearest_neighbours

    generator = torch.Generator().manual_seed(0)
    features, labels = torch.randn(200, 5, generator=generator), torch.randint(4, (200,), generator=generator)
    neighbours = two_nearest(features, chunk_size=64)
    assert torch.equal(neighbours, nearest_neighbours(features))
    counts = consensus_counts(labels, neighbours, 4)
    for got, expected in zip(count_with_loops(labels, neighbours, 4), counts, strict=True):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(shares_of_triples(labels, neighbours, 4), counts.third)
    start = [torch.rand(4, 4, generator=generator).softmax(dim=1), torch.rand(4, generator=generator).softmax(dim=0)]
    gradients = []
    for loss in (lambda t, p: loss_with_loops(list(counts), t, p), lambda t, p: consensus_loss(counts, t, p)):
        leaves = [tensor.clone().requires_grad_() for tensor in start]
        gradients.append(torch.autograd.grad(loss(*leaves), leaves))
    torch.testing.assert_close(gradients[0], gradients[1])


def test_batched_solver_fits_exact_counts_and_problems_do_not_mix():
    from plain_recipe import solve_batch

    truth = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.05, 0.25, 0.7]])
    easy = torch.eye(3)
    prior = torch.tensor([0.5, 0.3, 0.2])
    triples = torch.stack([consensus_model(matrix, prior).third for matrix in (truth, easy)])
    together = solve_batch(triples, torch.Generator().manual_seed(0), steps=400)
    assert (together[0] - truth).abs().mean() < 0.02
    assert (together[1] - easy).abs().mean() < 0.01
    alone = solve_batch(triples[:1], torch.Generator().manual_seed(0), steps=400)
    torch.testing.assert_close(alone[0], together[0], atol=1e-3, rtol=0)


def test_means_leave_marked_cells_and_missing_answers_out():
    from transition_accuracy import METHODS, geometric_mean, mean_error, ratios, worst

    def result(ours, plain, counts):
        errors = {method: [0.01, 0.03] for method in METHODS} | {'ours': [ours], 'plain': [plain]}
        return {'cell': {'kind': 'symmetric'}, 'counts': counts, 'purity': 1.0, 'errors': errors}

    results = [result(0.01, 0.04, True), result(0.04, 0.04, True), result(0.9, 0.1, False), result(0.02, 0.005, True)]
    assert mean_error(results[0], 'floor') == pytest.approx(0.02)
    assert geometric_mean(ratios(results[:3], 'ours', 'plain')) == pytest.approx(0.5)
    assert worst(results)[0] == pytest.approx(1)  # the largest, 4, has a plain error below 0.01
    results[0]['errors']['floor'] = [0.01, None]
    assert math.isnan(mean_error(results[0], 'floor'))
    assert len(ratios(results, 'floor', 'plain')) == 2


def test_command_writes_both_files(tmp_path, monkeypatch, capsys):
    pytest.importorskip('cleanlab', reason='pip install ".[bench]"')
    import transition_accuracy

    class InProcess:  # a pool of spawned processes takes longer than the work
        def __init__(self, processes):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def imap(self, job, items):
            return map(job, items)

    context = argparse.Namespace(Pool=InProcess)
    monkeypatch.setattr(transition_accuracy.multiprocessing, 'get_context', lambda *_: context)
    monkeypatch.setenv('OMP_NUM_THREADS', '1')
    size = ['--classes', '2', '--points', '300', '--seeds', '2', '--steps', '20', '--limit', '4']
    monkeypatch.setattr(sys, 'argv', ['transition_accuracy.py', *size, '--output', str(tmp_path)])
    transition_accuracy.main()
    data = json.loads((tmp_path / 'transition_accuracy.json').read_text(encoding='utf-8'))
    assert len(data['results']) == 4
    assert {'command', 'commit', 'machine'} <= data['origin'].keys()
    for result in data['results']:
        assert set(result['errors']) == set(transition_accuracy.METHODS)
        assert all(len(errors) == 2 for errors in result['errors'].values())
        assert all(0 <= error < 1 for error in result['errors']['ours'] + result['errors']['plain'])
    text = (tmp_path / 'transition_accuracy.md').read_text(encoding='utf-8')
    assert text.count('| symmetric |') + text.count('| near-singular |') >= 1
    assert 'ours / plain' in text
    assert 'Largest ratio' in capsys.readouterr().out


def test_a_rare_class_that_triples_confuse_with_another_is_kept():
    from known_noise import Cell, draw

    points = draw(Cell('pair-flip', 6, 0.4, 'long-tailed', 'clean'), 5000, 3)
    found = estimate_transition_matrix(points.features, points.noisy, 6)
    assert (found.transition - points.transition).abs().mean() < 0.015  # 0.041 from one start only
    assert found.prior[4] > 0.05
