"""Weighted batch norm statistics against independent references."""

import numpy as np
import pytest
import torch
from torch import nn

from dlc_mmseg.functional import norm_statistics as module
from dlc_mmseg.functional.norm_statistics import (
    Moments,
    class_share_weights,
    merged_moments,
    shifted_posterior,
    weighted_moments,
    weights_on_grid,
)


def random_probs(classes=3, seed=0):
    return torch.rand(2, classes, 6, 8, generator=torch.Generator().manual_seed(seed)).softmax(dim=1)


def test_weighted_classes_have_the_shares_of_the_source():
    probs = random_probs()
    source = torch.tensor([0.5, 0.4, 0.1])
    weights = class_share_weights(probs, source, probs.mean((0, 2, 3)))
    assert float(weights.mean()) == pytest.approx(1, abs=1e-5)
    hard = torch.eye(3)[torch.arange(96) % 16 % 3].view(2, 6, 8, 3).permute(0, 3, 1, 2)
    weights = class_share_weights(hard, source, hard.mean((0, 2, 3)))
    shares = (hard * weights[:, None]).sum((0, 2, 3)) / weights.sum()
    torch.testing.assert_close(shares, source)


def test_ratios_are_kept_within_their_limits():
    probs = torch.eye(2)[torch.tensor([[[0, 1]]])].permute(0, 3, 1, 2)
    rare, none = torch.tensor([0.999, 0.001]), torch.tensor([1.0, 0.0])
    assert class_share_weights(probs, torch.tensor([0.5, 0.5]), rare, max_ratio=10).flatten().tolist() == [
        pytest.approx(0.5 / 0.999),
        10,
    ]
    weights = class_share_weights(probs, none, none, max_ratio=4)
    assert weights.isfinite().all()
    assert weights.flatten().tolist() == pytest.approx([1, 0.25])
    assert class_share_weights(probs, none, rare, max_ratio=1).eq(1).all()


def test_what_does_not_fit_is_refused():
    shares = torch.full((3,), 1 / 3)
    with pytest.raises(ValueError, match='shapes'):
        class_share_weights(random_probs(), shares[:2], shares)
    with pytest.raises(ValueError, match='max_ratio'):
        class_share_weights(random_probs(), shares, shares, max_ratio=0.5)
    with pytest.raises(ValueError, match='multiple'):
        weights_on_grid(torch.ones(2, 4, 4), torch.ones(3, 1, 2, 2))


@pytest.mark.parametrize('shape', [(4, 5), (4, 5, 7), (4, 5, 3, 2), (4, 5, 1, 1)])
def test_moments_are_numpys(shape):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(shape, generator=generator) * 3 + 1
    weights = torch.rand(shape[0], 1, *shape[2:], generator=generator)
    found = weighted_moments(features, weights)
    values = np.moveaxis(features.double().numpy(), 1, -1).reshape(-1, 5)
    share = weights.double().numpy().reshape(-1)
    mean = np.average(values, axis=0, weights=share)
    np.testing.assert_allclose(found.mean.numpy(), mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.var.numpy(), np.average((values - mean) ** 2, axis=0, weights=share), rtol=1e-4)


def test_equal_weights_are_what_a_batch_norm_normalises_with():
    norm, features = nn.BatchNorm2d(3, affine=False, eps=1e-9), torch.randn(4, 3, 5, 5)
    mean, var = weighted_moments(features, torch.full((4, 1, 5, 5), 0.3))
    ours = (features - mean.view(1, -1, 1, 1)) / var.view(1, -1, 1, 1).sqrt()
    torch.testing.assert_close(ours, norm.train()(features), rtol=1e-4, atol=1e-5)


def test_no_weight_at_all_gives_finite_moments():
    assert all(part.eq(0).all() for part in weighted_moments(torch.randn(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)))


def test_half_precision_is_summed_in_single():
    features = torch.full((1, 1, 300, 300), 20.0, dtype=torch.float16)
    assert weighted_moments(features, torch.ones(1, 1, 300, 300)).mean.item() == pytest.approx(20, rel=1e-4)


def test_merged_moments_are_those_of_all_values():
    first, second = torch.randn(30, 4) * 2, torch.randn(10, 4) + 5
    parts = [Moments(part.mean(0), part.var(0, unbiased=False)) for part in (first, second)]
    merged, every = merged_moments(*parts, torch.tensor(0.25)), torch.cat([first, second])
    torch.testing.assert_close(merged.mean, every.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(merged.var, every.var(0, unbiased=False), rtol=1e-4, atol=1e-5)


def test_grids_keep_the_mean_weight():
    weights = torch.rand(2, 8, 12)
    grid = weights_on_grid(weights, torch.zeros(2, 5, 4, 6))
    torch.testing.assert_close(grid[:, 0], weights.unflatten(2, (6, 2)).unflatten(1, (4, 2)).mean((2, 4)))
    means = weights.mean((1, 2))
    torch.testing.assert_close(weights_on_grid(weights, torch.zeros(2, 5)), means[:, None])
    torch.testing.assert_close(weights_on_grid(weights, torch.zeros(2, 5, 7)), means.view(2, 1, 1).expand(2, 1, 7))
    windows = weights_on_grid(weights, torch.zeros(6, 5, 4, 4))
    torch.testing.assert_close(windows[:, 0, 0, 0], means.repeat(3))


def test_the_posterior_of_shifted_shares_is_bayes():
    likelihoods, source, target = torch.rand(40, 3), torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.7, 0.1, 0.2])
    posterior = [(likelihoods * shares).div((likelihoods * shares).sum(1, keepdim=True)) for shares in (source, target)]
    images = [part.view(1, 5, 8, 3).permute(0, 3, 1, 2) for part in posterior]
    torch.testing.assert_close(shifted_posterior(images[0], source, target), images[1])


def test_em_of_label_shift_finds_the_shares_of_the_target():
    generator = torch.Generator().manual_seed(0)
    source, target = torch.tensor([0.5, 0.5]), torch.tensor([0.9, 0.1])
    labels = (torch.rand(40000, generator=generator) < target[1]).long()
    values = torch.randn(40000, generator=generator) + 2.0 * labels
    likelihoods = torch.stack([torch.exp(-(values**2) / 2), torch.exp(-((values - 2) ** 2) / 2)], dim=1)
    probs = (likelihoods * source / (likelihoods * source).sum(1, keepdim=True)).T.reshape(1, 2, 200, 200)
    posterior, shares = probs, source
    for _ in range(100):
        posterior = shifted_posterior(probs, source, shares)
        shares = posterior.mean((0, 2, 3))
    torch.testing.assert_close(shares, target, atol=0.01, rtol=0)


def test_classes_without_a_share_stay_finite():
    none = torch.tensor([1.0, 0.0, 0.0])
    for source, target in ((none, none.flip(0)), (none, none), (none.flip(0), none)):
        posterior = shifted_posterior(random_probs(), source, target)
        torch.testing.assert_close(posterior.sum(1), torch.ones(2, 6, 8))


def test_moments_in_pieces_are_those_of_the_whole(monkeypatch):
    features, weights = torch.randn(5, 3, 4, 6), torch.rand(5, 1, 4, 6)
    whole = weighted_moments(features, weights)
    monkeypatch.setitem(module._PIECE, 'cpu', 2 * 3 * 4 * 6)  # two images at a time, then one
    for ours, theirs in zip(weighted_moments(features, weights), whole, strict=True):
        torch.testing.assert_close(ours, theirs)
