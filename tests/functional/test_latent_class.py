"""EM of the latent class against the plain likelihood."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from dlc_mmseg.functional import (
    LatentClassFit,
    composition_posterior,
    consensus_model,
    initial_logits,
    label_patterns,
    likelihood_estimate,
    log_likelihood,
    own_label_step,
)

TRUTH = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.0, 0.25, 0.75]], dtype=torch.float64)
PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def _log_likelihood(patterns, weights, transition, prior):
    """Sum over classes of prior times the labels' probabilities, one pattern after the other."""
    total = 0.0
    for labels, weight in zip(patterns.tolist(), weights.tolist(), strict=True):
        evidence = sum(float(prior[i]) * math.prod(float(transition[i, j]) for j in labels) for i in range(len(prior)))
        total += weight * math.log(evidence)
    return total


def _start(classes=3):
    return initial_logits(classes).double().softmax(dim=1), torch.full((classes,), 1 / classes)


def _random_patterns(seed=0, views=3, points=200):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (points,), generator=generator)
    return label_patterns(labels, torch.randint(points, (points, views - 1), generator=generator), 3)


def test_patterns_are_the_distinct_multisets():
    labels = torch.tensor([2, 0, 1, 0])
    neighbours = torch.tensor([[1, 2], [0, 2], [3, 0], [1, 3]])
    patterns = label_patterns(labels, neighbours, 3)
    rows = [tuple(row) for row in patterns.labels.tolist()]
    found = dict(zip(rows, patterns.weights.tolist(), strict=True))
    assert found == {(0, 1, 2): 3.0, (0, 0, 0): 1.0}


def test_long_patterns_of_many_classes_do_not_overflow():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(150, (40,), generator=generator)
    neighbours = torch.randint(40, (40, 9), generator=generator)
    patterns = label_patterns(labels, neighbours, 150)
    expected = torch.cat([labels.unsqueeze(1), labels[neighbours]], dim=1).sort(dim=1).values.unique(dim=0)
    assert torch.equal(patterns.labels, expected)


@pytest.mark.parametrize('views', [2, 3, 5])
def test_every_step_raises_the_likelihood(views):
    patterns = _random_patterns(views=views)
    values = [
        _log_likelihood(*patterns, *likelihood_estimate(*patterns, *_start(), max_iterations=steps, tolerance=0))
        for steps in range(6)
    ]
    assert all(later > earlier for earlier, later in itertools.pairwise(values))


def test_one_step_by_hand():
    patterns, weights = torch.tensor([[0, 0, 1], [1, 1, 1]]), torch.tensor([2.0, 3.0])
    transition = torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    prior = torch.tensor([0.6, 0.4], dtype=torch.float64)
    counts, mass = torch.zeros(2, 2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for labels, weight in zip(patterns, weights, strict=True):
        joint = prior * transition[:, labels].prod(dim=1)
        share = weight * joint / joint.sum()
        mass += share
        for label in labels:
            counts[:, label] += share
    fit = likelihood_estimate(patterns, weights, transition, prior, max_iterations=1)
    torch.testing.assert_close(fit.transition, counts / counts.sum(dim=1, keepdim=True))
    torch.testing.assert_close(fit.prior, mass / 5)


def test_exact_shares_give_back_the_truth():
    triples = torch.cartesian_prod(*3 * [torch.arange(len(PRIOR))])
    fit = likelihood_estimate(
        triples, consensus_model(TRUTH, PRIOR).third.flatten(), *_start(), max_iterations=1500, tolerance=0
    )
    torch.testing.assert_close(fit.transition, TRUTH, atol=5e-3, rtol=0)
    torch.testing.assert_close(fit.prior, PRIOR, atol=5e-3, rtol=0)


def test_stopping_rule():
    patterns = _random_patterns()
    coarse = likelihood_estimate(*patterns, *_start(), tolerance=1e-2)
    fine = likelihood_estimate(*patterns, *_start(), tolerance=1e-10)
    assert _log_likelihood(*patterns, *coarse) < _log_likelihood(*patterns, *fine)
    start = likelihood_estimate(*patterns, *_start(), max_iterations=0)
    torch.testing.assert_close(start.transition, _start()[0])


def test_prior_counts_are_maximum_a_posteriori():
    patterns, (start, shares) = _random_patterns(), _start()
    belief = 50 * TRUTH
    fit = likelihood_estimate(*patterns, start, shares, prior_counts=belief, tolerance=1e-13, max_iterations=5000)

    def objective(transition):
        penalty = float((belief * transition.clamp_min(1e-300).log()).sum())
        return _log_likelihood(*patterns, transition, fit.prior) + penalty

    best = objective(fit.transition)
    for i in range(3):
        for j, k in itertools.permutations(range(3), 2):
            moved = fit.transition.clone()
            step = min(1e-3, float(moved[i, k]))
            moved[i, j] += step
            moved[i, k] -= step
            assert objective(moved) <= best + 1e-9
    strong = likelihood_estimate(*patterns, start, shares, prior_counts=1e9 * TRUTH)
    torch.testing.assert_close(strong.transition, TRUTH, atol=1e-5, rtol=0)


def test_class_that_starts_without_prior_stays_out():
    patterns, (start, _) = _random_patterns(), _start()
    fit = likelihood_estimate(*patterns, start, torch.tensor([0.5, 0.5, 0.0]))
    assert fit.prior[2] == 0
    assert torch.equal(fit.transition[2], start[2])
    assert fit.transition.isfinite().all()
    believed = likelihood_estimate(*patterns, start, torch.tensor([0.5, 0.5, 0.0]), prior_counts=TRUTH)
    torch.testing.assert_close(believed.transition[2], TRUTH[2])


def test_impossible_patterns_and_no_patterns_give_no_nan():
    identity, shares = torch.eye(2), torch.tensor([0.5, 0.5])
    fit = likelihood_estimate(torch.tensor([[0, 1, 1]]), torch.ones(1), identity, shares)
    assert fit.transition.isfinite().all()
    assert fit.prior.isfinite().all()
    unseen = torch.tensor([[0, 1, 1]]), torch.zeros(1)
    none = likelihood_estimate(*unseen, identity, shares, tolerance=0, max_iterations=3)
    torch.testing.assert_close(none.transition, identity.double())
    torch.testing.assert_close(none.prior, shares.double())


def test_own_label_step_by_hand():
    patterns, own = torch.tensor([[0, 0, 1], [1, 1, 1], [2, 0, 2]]), torch.tensor([0, 1, 2])
    counts = torch.zeros(3, 3, dtype=torch.float64)
    for labels, label in zip(patterns, own, strict=True):
        joint = PRIOR * TRUTH[:, labels].prod(dim=1)
        counts[:, label] += joint / joint.sum()
    fit = own_label_step(patterns, own, LatentClassFit(TRUTH, PRIOR))
    torch.testing.assert_close(fit.transition, counts / counts.sum(dim=1, keepdim=True))
    torch.testing.assert_close(fit.prior, counts.sum(dim=1) / 3)


MIXTURES = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0], [0, 0.25, 0.75]], dtype=torch.float64)
SHARES = torch.tensor([0.3, 0.2, 0.2, 0.2, 0.1], dtype=torch.float64)


def test_every_step_raises_the_likelihood_with_compositions_too():
    patterns, (start, _) = _random_patterns(views=5), _start()
    values = []
    for steps in range(8):
        fit = likelihood_estimate(*patterns, start, SHARES, compositions=MIXTURES, max_iterations=steps, tolerance=0)
        values.append(_log_likelihood(*patterns, MIXTURES @ fit.transition, fit.prior))
    assert all(later > earlier for earlier, later in itertools.pairwise(values))


def test_log_likelihood_by_hand():
    patterns, weights = torch.tensor([[0, 0, 1], [2, 0, 2]]), torch.tensor([2.0, 3.0])
    emission, counts = MIXTURES @ TRUTH, torch.tensor([[0.0, 0, 0], [0, 2, 0], [0, 0, 1]], dtype=torch.float64)
    likelihoods = torch.stack([(SHARES * emission[:, row].prod(dim=1)).sum() for row in patterns])
    expected = 2 * likelihoods[0].log() + 3 * likelihoods[1].log()
    fit = LatentClassFit(TRUTH, SHARES)
    torch.testing.assert_close(log_likelihood(patterns, weights, fit, compositions=MIXTURES), expected)
    penalised = log_likelihood(patterns, weights, fit, compositions=MIXTURES, prior_counts=counts)
    torch.testing.assert_close(penalised, expected + 2 * TRUTH[1, 1].log() + TRUTH[2, 2].log())


def test_one_step_of_compositions_by_hand():
    patterns, weights = torch.tensor([[0, 0, 1], [1, 1, 1], [2, 0, 2]]), torch.tensor([2.0, 3.0, 1.0])
    emission = MIXTURES @ TRUTH
    counts, mass = torch.zeros(3, 3, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for labels, weight in zip(patterns, weights, strict=True):
        joint = SHARES * emission[:, labels].prod(dim=1)
        posterior = weight * joint / joint.sum()
        mass += posterior
        for c, i, j in itertools.product(range(5), range(3), labels.tolist()):
            if MIXTURES[c, i] * TRUTH[i, j] > 0:
                counts[i, j] += posterior[c] * MIXTURES[c, i] * TRUTH[i, j] / emission[c, j]
    fit = likelihood_estimate(patterns, weights, TRUTH, SHARES, compositions=MIXTURES, max_iterations=1)
    torch.testing.assert_close(fit.transition, counts / counts.sum(dim=1, keepdim=True))
    torch.testing.assert_close(fit.prior, mass / 6)
    found = composition_posterior(patterns, LatentClassFit(TRUTH, SHARES), compositions=MIXTURES)
    torch.testing.assert_close(found.t() @ weights.double(), mass)


def test_pure_compositions_change_nothing():
    patterns, views = _random_patterns(), torch.tensor([[0, 1, 1], [2, 2, 0]])
    pure = torch.eye(3)
    plain, same = (likelihood_estimate(*patterns, *_start(), compositions=given) for given in (None, pure))
    for got, expected in zip(same, plain, strict=True):
        torch.testing.assert_close(got, expected)
    steps = [own_label_step(views, views[:, 0], plain, compositions=given) for given in (None, pure)]
    torch.testing.assert_close(steps[0].transition, steps[1].transition)


def test_patterns_of_mixed_neighbourhoods_give_back_the_truth():
    emission = MIXTURES @ TRUTH
    labels = torch.combinations(torch.arange(3), 6, with_replacement=True)
    orders = [math.factorial(6) / math.prod(math.factorial(row.count(j)) for j in range(3)) for row in labels.tolist()]
    weights = torch.tensor(orders).double() * (SHARES * emission.t()[labels].prod(dim=1)).sum(dim=1)
    start = _start()[0]
    fit = likelihood_estimate(
        labels, weights, start, torch.full((5,), 0.2), compositions=MIXTURES, max_iterations=1000, tolerance=0
    )
    blind = likelihood_estimate(labels, weights, start, torch.full((3,), 1 / 3), max_iterations=1000, tolerance=0)
    error = (fit.transition - TRUTH).abs().mean()
    assert error < 0.02
    assert (blind.transition - TRUTH).abs().mean() > 2 * error


def test_impossible_patterns_of_compositions_give_no_nan():
    identity, mixtures = torch.eye(2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    fit = likelihood_estimate(
        torch.tensor([[0, 1, 1]]), torch.full((1,), 1e6), identity, torch.full((3,), 1 / 3), compositions=mixtures
    )
    assert fit.transition.isfinite().all()
    assert fit.prior.isfinite().all()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match='compositions'):
        likelihood_estimate(torch.zeros(4, 3).long(), torch.ones(4), *_start(), compositions=torch.eye(2))
    with pytest.raises(ValueError, match='prior_init'):
        likelihood_estimate(torch.zeros(4, 3).long(), torch.ones(4), *_start(), compositions=MIXTURES)
    with pytest.raises(ValueError, match='patterns'):
        likelihood_estimate(torch.zeros(4, 3).long(), torch.ones(3), *_start())
    with pytest.raises(ValueError, match='tolerance'):
        likelihood_estimate(torch.zeros(4, 3).long(), torch.ones(4), *_start(), tolerance=-1)
