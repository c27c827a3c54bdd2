"""How the fit treats neighbourhoods of one class and of two."""

from __future__ import annotations

import pytest
import torch
from noisy_clusters import noisy_clusters

from dlc_mmseg.functional import (
    fit_neighbour_labels,
    initial_logits,
    label_patterns,
    likelihood_estimate,
    meeting_pairs,
    nearest_neighbours,
)


def _error(transition, data):
    return (transition - data.transition).abs().mean().item()


def _counted(data):
    """T counted from the true labels: what no estimate can beat but by chance."""
    classes = len(data.transition)
    counts = torch.bincount(data.labels * classes + data.noisy, minlength=classes**2).view(classes, classes)
    return counts / counts.sum(dim=1, keepdim=True)


@pytest.mark.parametrize('seed', range(3))
def test_pure_clusters_are_counted_as_if_classes_were_known(seed):
    data = noisy_clusters(6, 0.3, points=4000, seed=seed)
    neighbours = nearest_neighbours(data.features, num_neighbours=20)
    fit = fit_neighbour_labels(data.noisy, neighbours, initial_logits(6).softmax(dim=1))
    assert (fit.transition - _counted(data)).abs().mean() < 0.002
    torch.testing.assert_close(fit.prior.float(), torch.bincount(data.labels) / 4000, atol=5e-3, rtol=0)


@pytest.mark.parametrize(('classes', 'separation'), [(2, 1.8), (6, 3.0)])
def test_overlapping_clusters_are_not_taken_for_noise(classes, separation):
    data = noisy_clusters(classes, 0.2, points=5000, separation=separation)
    neighbours = nearest_neighbours(data.features, num_neighbours=20)
    pure = (data.labels[neighbours[:, :2]] == data.labels.unsqueeze(1)).all(dim=1).float().mean()
    assert pure < 0.9
    start = initial_logits(classes).softmax(dim=1)
    fit = fit_neighbour_labels(data.noisy, neighbours, start)
    patterns = label_patterns(data.noisy, neighbours, classes)
    blind = likelihood_estimate(*patterns, start, torch.full((classes,), 1 / classes))
    assert _error(fit.transition, data) < 0.6 * _error(blind.transition, data)
    assert fit.prior.sum().item() == pytest.approx(1)


def test_meeting_pairs_by_hand():
    neighbours = torch.tensor([[1, 2], [0, 2], [3, 0], [4, 2], [3, 2]])
    pairs = meeting_pairs(torch.tensor([0, 0, 2, 3, 3]), neighbours, 4)  # 2 meets 0 three times, 3 three times
    assert pairs.tolist() == [[0.5, 0, 0.5, 0], [0, 0, 0.5, 0.5]]
    assert meeting_pairs(torch.zeros(5).long(), neighbours, 4).shape == (0, 4)


def test_only_the_most_frequent_pairs_are_kept():
    generator = torch.Generator().manual_seed(0)
    classes_of = torch.randint(40, (3000,), generator=generator)
    neighbours = torch.randint(3000, (3000, 4), generator=generator)
    pairs = meeting_pairs(classes_of, neighbours, 40)
    assert pairs.shape == (200, 40)
    assert (pairs.sum(dim=1) == 1).all()
    assert len(pairs.unique(dim=0)) == 200


@pytest.mark.parametrize('shape', [(4, 1), (3, 2), (4,)])
def test_neighbours_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match='neighbours'):
        fit_neighbour_labels(torch.tensor([0, 1, 0, 1]), torch.zeros(shape, dtype=torch.long), torch.eye(2))


def test_labels_of_any_integer_type_are_the_same_labels():
    data = noisy_clusters(3, 0.2, points=300)
    neighbours = nearest_neighbours(data.features, num_neighbours=4)
    start = initial_logits(3).softmax(dim=1)
    expected = fit_neighbour_labels(data.noisy, neighbours, start)
    found = fit_neighbour_labels(data.noisy.to(torch.uint8), neighbours, start)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
