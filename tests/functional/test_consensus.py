"""Neighbours, counts, model and loss of the consensus against loops and hand-made cases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc_mmseg.functional import (
    ConsensusCounts,
    consensus_counts,
    consensus_estimate,
    consensus_loss,
    consensus_model,
    initial_logits,
    nearest_neighbours,
)


def _brute_force(features, k):
    points = features.double().numpy()
    lengths = np.linalg.norm(points, axis=1)
    unit = points / np.where(lengths > 0, lengths, 1)[:, None]
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity, axis=1, kind='stable')[:, :k]
    return order, np.take_along_axis(similarity, order, axis=1), similarity


@pytest.mark.parametrize('chunk_size', [1, 7, 64, 1000])
@pytest.mark.parametrize('k', [1, 2, 5])
def test_neighbours_equal_brute_force(chunk_size, k):
    features = torch.randn(150, 6, generator=torch.Generator().manual_seed(0))
    found = nearest_neighbours(features, num_neighbours=k, chunk_size=chunk_size)
    assert found.dtype == torch.long
    np.testing.assert_array_equal(found.numpy(), _brute_force(features, k)[0])


@pytest.mark.parametrize('points', [512, 527, 1300])
@pytest.mark.parametrize('k', [1, 2, 9])
def test_neighbours_among_many_equal_brute_force(points, k):
    features = torch.randn(points, 8, generator=torch.Generator().manual_seed(points))
    found = nearest_neighbours(features, num_neighbours=k, chunk_size=200)
    np.testing.assert_array_equal(found.numpy(), _brute_force(features, k)[0])


def test_neighbours_within_one_group_of_columns():
    features = torch.eye(64).repeat(20, 1)[:1250]  # equal points stand 64 apart
    features[:, 0] += 0.01 * torch.rand(1250, generator=torch.Generator().manual_seed(0))
    found = nearest_neighbours(features, num_neighbours=5)
    assert (found % 64 == torch.arange(1250).unsqueeze(1) % 64).all()
    assert all(len(set(row)) == 5 for row in found.tolist())


def test_length_of_a_vector_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 4, generator=generator)
    scaled = features * (torch.rand(60, 1, generator=generator) + 0.1)
    assert torch.equal(nearest_neighbours(features), nearest_neighbours(scaled))


def test_duplicates_zero_vectors_and_self():
    features = torch.randn(40, 5, generator=torch.Generator().manual_seed(1))
    features[10:20] = features[3]
    features[30:33] = 0
    found = nearest_neighbours(features, chunk_size=16)
    assert (found != torch.arange(40).unsqueeze(1)).all()
    assert (found[:, 0] != found[:, 1]).all()
    _, best, similarity = _brute_force(features, 2)
    reached = np.take_along_axis(similarity, found.numpy(), axis=1)
    np.testing.assert_allclose(reached, best, atol=1e-6)


def test_half_precision_and_autocast_search_in_float32():
    features = torch.randn(300, 16, generator=torch.Generator().manual_seed(2))
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(nearest_neighbours(features), nearest_neighbours(features.double()))
    half = features.bfloat16()
    assert torch.equal(nearest_neighbours(half), nearest_neighbours(half.float()))


def test_neighbours_need_enough_points():
    with pytest.raises(ValueError, match='2 points'):
        nearest_neighbours(torch.ones(2, 3))
    assert nearest_neighbours(torch.randn(3, 3)).sort(dim=1).values.tolist() == [[1, 2], [0, 2], [0, 1]]
    with pytest.raises(ValueError, match='chunk_size'):
        nearest_neighbours(torch.ones(9, 3), chunk_size=0)


def test_counts_of_a_hand_made_case():
    labels = torch.tensor([0, 0, 1, 1])
    neighbours = torch.tensor([[1, 2], [0, 2], [3, 0], [2, 1]])
    counts = consensus_counts(labels, neighbours, 2)
    torch.testing.assert_close(counts.first, torch.tensor([0.5, 0.5]))
    torch.testing.assert_close(counts.second, torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
    third = torch.zeros(2, 2, 2)
    third[0, 0, 1] = third[1, 1, 0] = 0.5
    torch.testing.assert_close(counts.third, third)


@settings(max_examples=30, deadline=None)
@given(classes=st.integers(2, 6), points=st.integers(3, 50), seed=st.integers(0, 1000))
def test_counts_sum_to_one_and_match_a_loop(classes, points, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (points,), generator=generator)
    neighbours = torch.randint(points, (points, 2), generator=generator)
    counts = consensus_counts(labels, neighbours, classes)
    third = torch.zeros(classes, classes, classes)
    for own, (first, second) in zip(labels, neighbours, strict=True):
        third[own, labels[first], labels[second]] += 1 / points
    for got, expected in zip(counts, (third.sum(dim=(1, 2)), third.sum(dim=2), third), strict=True):
        torch.testing.assert_close(got, expected)
        assert got.sum().item() == pytest.approx(1, abs=1e-5)


def _random_model(classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    transition = torch.rand(classes, classes, generator=generator, dtype=torch.float64).softmax(dim=1)
    return transition, torch.rand(classes, generator=generator, dtype=torch.float64).softmax(dim=0)


def test_model_equals_its_sums():
    transition, prior = _random_model(3)
    model = consensus_model(transition, prior)
    for j, k, m in itertools.product(range(3), repeat=3):
        terms = [(prior[i], transition[i, j], transition[i, k], transition[i, m]) for i in range(3)]
        torch.testing.assert_close(model.first[j], sum(p * a for p, a, _, _ in terms))
        torch.testing.assert_close(model.second[j, k], sum(p * a * b for p, a, b, _ in terms))
        torch.testing.assert_close(model.third[j, k, m], sum(p * a * b * c for p, a, b, c in terms))
    assert all(part.sum().item() == pytest.approx(1) for part in model)


def test_loss_value_and_gradient():
    transition, prior = (tensor.requires_grad_() for tensor in _random_model(4))
    counts = consensus_model(*_random_model(4, seed=1))
    model = consensus_model(transition.detach(), prior.detach())
    expected = sum(np.linalg.norm(part - other) for part, other in zip(counts, model, strict=True))
    assert consensus_loss(counts, transition, prior).item() == pytest.approx(expected)
    assert torch.autograd.gradcheck(lambda t, p: consensus_loss(counts, t, p), (transition, prior))


def test_loss_at_an_exact_fit_is_zero_with_finite_gradient():
    transition, prior = (tensor.requires_grad_() for tensor in _random_model(4))
    counts = ConsensusCounts(*(part.detach() for part in consensus_model(transition, prior)))
    loss = consensus_loss(counts, transition, prior)
    loss.backward()
    assert loss == 0
    assert transition.grad.isfinite().all()
    assert prior.grad.isfinite().all()


def test_loss_is_float32_under_autocast():
    transition, prior = (tensor.float() for tensor in _random_model(5))
    counts = ConsensusCounts(*(part.float() for part in consensus_model(*_random_model(5, seed=1))))
    with torch.autocast('cpu', torch.bfloat16):
        loss = consensus_loss(counts, transition, prior)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, consensus_loss(counts, transition, prior), rtol=0, atol=0)


def test_solver_recovers_an_exact_model_and_leaves_unseen_rows():
    classes, seen = 4, torch.tensor([True, True, True, False])
    start = initial_logits(classes).softmax(dim=1)
    truth = start.clone()
    truth[:3, :3] = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.0, 0.3, 0.7]])
    truth[:3, 3] = 0
    prior = torch.tensor([0.5, 0.3, 0.2, 0.0])
    counts = consensus_model(truth, prior)
    transition, found = consensus_estimate(counts, start, seen, steps=300)
    torch.testing.assert_close(transition, truth, atol=0.02, rtol=0)
    torch.testing.assert_close(found, prior, atol=0.02, rtol=0)
    assert torch.equal(transition[3], start[3])
    before = consensus_estimate(counts, start, seen, steps=50)
    assert consensus_loss(counts, transition, found) < consensus_loss(counts, *before)


@pytest.mark.parametrize('label', [-1, 2, 255])
def test_labels_that_are_no_classes_are_refused(label):
    with pytest.raises(ValueError, match='drop ignored points'):
        consensus_counts(torch.tensor([0, 1, label]), torch.tensor([[1, 2], [0, 2], [0, 1]]), 2)
