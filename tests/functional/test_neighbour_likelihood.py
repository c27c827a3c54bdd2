"""How the fit adapts to clusters."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from noisy_clusters import noisy_clusters

from dlc_mmseg.functional import fit_neighbour_labels, initial_logits, nearest_neighbours, tight_share


def _neighbourhoods(data):
    unit = F.normalize(data.features, dim=1)
    neighbours = nearest_neighbours(unit, num_neighbours=9)
    return unit, neighbours, (unit * unit[neighbours[:, 1]]).sum(dim=1)


@pytest.mark.parametrize('seed', range(4))
def test_pure_clusters_keep_every_point(seed):
    data = noisy_clusters(6, 0.3, points=3000, seed=seed)
    _, neighbours, similarity = _neighbourhoods(data)
    assert tight_share(data.noisy, neighbours, similarity) == 1


def test_overlapping_clusters_keep_the_tight_part_which_is_purer_and_fits_better():
    data = noisy_clusters(6, 0.2, points=5000, separation=3)
    unit, neighbours, similarity = _neighbourhoods(data)
    share = tight_share(data.noisy, neighbours, similarity)
    assert share < 1
    pure = (data.labels[neighbours[:, :2]] == data.labels.unsqueeze(1)).all(dim=1).float()
    tight = similarity.argsort(descending=True)[: int(share * 5000)]
    assert pure[tight].mean() > pure.mean() + 0.05
    start = initial_logits(6).softmax(dim=1)
    fit = fit_neighbour_labels(unit, data.noisy, neighbours, start)
    loose = fit_neighbour_labels(unit.roll(1, dims=0), data.noisy, neighbours, start)  # tightness without meaning
    assert (fit.transition - data.transition).abs().mean() < (loose.transition - data.transition).abs().mean()


def test_few_points_do_not_decide():
    assert tight_share(torch.tensor([0, 1, 0]), torch.tensor([[1, 2], [0, 2], [0, 1]]), torch.ones(3)) == 1
