"""What two processes (gloo) share: gradients, running statistics, consensus counts, opinions."""

from __future__ import annotations

import pytest
import torch
from adaptation_run import in_group
from torch import nn

from dlc_mmseg.functional.consensus import ConsensusCounts, consensus_counts
from dlc_mmseg.models.processes import average_gradients, average_statistics, pooled_counts, trained_parameters
from dlc_mmseg.models.segmentors.finite_check import find_non_finite
from dlc_mmseg.models.transition.consensus_estimator import ConsensusEstimator
from dlc_mmseg.models.transition.views import Points, Views


def parameters_of(rank):
    """Gradients on both, on one and on no process; two kinds of numbers."""
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)] + [nn.Parameter(torch.zeros(2).double())]
    parameters[0].grad = torch.tensor([1.0, 2.0]) + 10 * rank
    if rank == 1:
        parameters[1].grad = torch.tensor([4.0, 6.0])
    parameters[3].grad = torch.tensor([0.5, 0.25]).double() * (rank + 1)
    return parameters


def points_of(rank):
    generator = torch.Generator().manual_seed(rank)
    count = (30, 12)[rank]
    labels = torch.randint(0, 3, (count,), generator=generator)
    return labels, torch.randint(0, count, (count, 2), generator=generator)


def features_of(rank):
    return torch.randn(len(points_of(rank)[0]), 4, generator=torch.Generator().manual_seed(10 + rank))


def consensus_of(rank):
    points = Points(features_of(rank), points_of(rank)[0])
    return ConsensusEstimator(3)(points, Views(), torch.full((3, 3), 1 / 3)).counts


def shared(rank):
    parameters = parameters_of(rank)
    average_gradients(parameters)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2, track_running_stats=False))
    network[1].running_mean.fill_(rank + 1.0)
    network[1].running_var.fill_(4.0 * rank)
    network[1].num_batches_tracked.fill_(7)
    average_statistics(network)
    average_statistics(nn.Conv2d(1, 1, 1))
    labels, neighbours = points_of(rank)
    counts = consensus_counts(labels, neighbours, 3)
    none = ConsensusCounts(*(torch.zeros((3,) * order) for order in (1, 2, 3)))
    problem = find_non_finite({'a.loss': torch.tensor(1.0 if rank else torch.inf), 'loss': torch.tensor(1.0)})
    return {
        'gradients': [parameter.grad for parameter in parameters],
        'statistics': dict(network[1].named_buffers()),
        'pooled': tuple(pooled_counts(counts, len(labels))),
        'one side': tuple(pooled_counts(*((none, 0) if rank else (counts, len(labels))))),
        'nothing': tuple(pooled_counts(none, 0)),
        'estimator': tuple(consensus_of(rank)),
        'problem': tuple(problem),
        'healthy': find_non_finite({'loss': torch.tensor(1.0)}, parameters),
    }


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    return in_group(shared, tmp_path_factory.mktemp('group') / 'a')


def test_gradients_are_averaged(results):
    for result in results:
        both, one, neither, double = result['gradients']
        assert both.tolist() == [6.0, 7.0]
        assert one.tolist() == [2.0, 3.0]
        assert neither is None
        assert double.dtype == torch.float64
        assert double.tolist() == [0.75, 0.375]


def test_running_statistics_are_averaged(results):
    for result in results:
        statistics = result['statistics']
        assert statistics['running_mean'].tolist() == [1.5, 1.5]
        assert statistics['running_var'].tolist() == [2.0, 2.0]
        assert int(statistics['num_batches_tracked']) == 7


def test_counts_are_those_of_all_points(results):
    labels, neighbours = zip(*(points_of(rank) for rank in (0, 1)), strict=True)
    joined = torch.cat([neighbours[0], neighbours[1] + len(labels[0])])  # neighbours stay within a process
    expected = consensus_counts(torch.cat(labels), joined, 3)
    alone = consensus_counts(labels[0], neighbours[0], 3)
    for result in results:
        for order in range(3):
            torch.testing.assert_close(result['pooled'][order], expected[order])
            torch.testing.assert_close(result['one side'][order], alone[order])
            assert result['nothing'][order].eq(0).all()
        assert torch.equal(result['pooled'][2], results[0]['pooled'][2])


def test_the_published_estimator_counts_the_points_of_all(results):
    alone = [consensus_of(rank) for rank in (0, 1)]
    for result in results:
        for order in range(3):
            expected = (30 * alone[0][order] + 12 * alone[1][order]) / 42
            torch.testing.assert_close(result['estimator'][order], expected)


def test_processes_agree_on_what_is_not_finite(results):
    assert results[0]['problem'] == ('a.loss', torch.inf)
    assert results[1]['problem'] == ('a.loss', 1.0)
    assert results[0]['healthy'] is results[1]['healthy'] is None


def test_one_process_keeps_what_it_has():
    parameters = parameters_of(1)
    average_gradients(parameters)
    assert parameters[0].grad.tolist() == [11.0, 12.0]
    assert parameters[2].grad is None
    counts = consensus_counts(*points_of(0), 3)
    assert pooled_counts(counts, 30) is counts


def test_frozen_parameters_are_no_part_of_it():
    from mmengine.optim import OptimWrapper

    frozen, trained = nn.Parameter(torch.zeros(1), requires_grad=False), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{'params': [frozen]}, {'params': [trained]}], lr=0.1)
    assert trained_parameters(OptimWrapper(optimizer)) == [trained]
