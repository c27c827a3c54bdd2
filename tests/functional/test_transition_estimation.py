"""A known T recovered from noisy clusters, and everything that can go wrong."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from noisy_clusters import noise_matrix, noisy_clusters

from dlc_mmseg.functional import estimate_transition_matrix, initial_logits


def _error(estimate, data):
    return (estimate.transition - data.transition).abs().mean().item()


@pytest.mark.parametrize('seed', range(3))
@pytest.mark.parametrize('kind', ['symmetric', 'pair'])
@pytest.mark.parametrize('noise', [0.0, 0.15, 0.3])
@pytest.mark.parametrize('classes', [2, 6])
def test_known_transition_is_recovered(classes, noise, kind, seed):
    data = noisy_clusters(classes, noise, kind=kind, seed=seed)
    estimate = estimate_transition_matrix(data.features, data.noisy, classes, seed=seed)
    assert _error(estimate, data) <= 0.02
    torch.testing.assert_close(estimate.transition.sum(dim=1), torch.ones(classes))
    assert estimate.prior.sum().item() == pytest.approx(1, abs=1e-5)
    shares = torch.bincount(data.labels, minlength=classes) / len(data.labels)
    assert (estimate.prior - shares).abs().max() < 0.05
    assert 0 <= estimate.residual < 0.1


@pytest.mark.parametrize('classes', [2, 6])
def test_published_recipe_recovers_it_too(classes):
    data = noisy_clusters(classes, 0.2)
    estimate = estimate_transition_matrix(data.features, data.noisy, classes, estimator='consensus', steps=250)
    assert _error(estimate, data) <= 0.03


def test_likelihood_beats_the_published_recipe():
    ratios = []
    for classes, noise, kind in [(2, 0.3, 'symmetric'), (6, 0.4, 'symmetric'), (6, 0.3, 'pair')]:
        data = noisy_clusters(classes, noise, kind=kind, points=3000, seed=classes)
        ours, recipe = (
            _error(estimate_transition_matrix(data.features, data.noisy, classes, estimator=name, steps=300), data)
            for name in ('likelihood', 'consensus')
        )
        ratios.append(math.log(ours / recipe))
    assert math.exp(sum(ratios) / len(ratios)) < 0.85


def test_strong_noise_does_not_exchange_classes():
    data = noisy_clusters(19, 0.6, points=5000)
    estimate = estimate_transition_matrix(data.features, data.noisy, 19)
    assert (estimate.transition.argmax(dim=1) == torch.arange(19)).all()


def test_many_classes():
    data = noisy_clusters(150, 0.2, points=6000, separation=60)
    estimate = estimate_transition_matrix(data.features, data.noisy, 150, max_iterations=40)
    assert (estimate.transition.diagonal() - 0.8).abs().mean() < 0.08
    assert math.isfinite(estimate.residual)


@pytest.mark.parametrize('estimator', ['likelihood', 'consensus'])
def test_same_seed_same_result_tensor_or_array(estimator):
    data = noisy_clusters(3, 0.2, points=900)
    arguments = {'num_points': 500, 'estimator': estimator, 'steps': 20}
    first, again, array, other = (
        estimate_transition_matrix(features, labels, 3, seed=seed, **arguments)
        for features, labels, seed in [
            (data.features, data.noisy, 1),
            (data.features, data.noisy, 1),
            (data.features.numpy(), data.noisy.numpy(), 1),
            (data.features, data.noisy, 2),
        ]
    )
    for same in (again, array):
        assert torch.equal(first.transition, same.transition)
        assert torch.equal(first.prior, same.prior)
        assert first.residual == same.residual
    assert not torch.equal(first.transition, other.transition)


def test_global_random_state_is_left_alone():
    data = noisy_clusters(3, 0.2, points=300)
    before = torch.get_rng_state()
    estimate_transition_matrix(data.features, data.noisy, 3, estimator='consensus', steps=3)
    assert torch.equal(before, torch.get_rng_state())


def test_mixed_precision_changes_nothing():
    data = noisy_clusters(4, 0.2, points=800)
    plain = estimate_transition_matrix(data.features, data.noisy, 4)
    with torch.autocast('cpu', torch.bfloat16), torch.no_grad():
        mixed = estimate_transition_matrix(data.features.requires_grad_(), data.noisy, 4)
    assert mixed.transition.dtype == torch.float32
    assert torch.equal(plain.transition, mixed.transition)


@pytest.mark.parametrize('estimator', ['likelihood', 'consensus'])
def test_missing_classes_keep_the_start_and_disturb_nobody(estimator):
    data = noisy_clusters(2, 0.2, points=3000)
    noisy = 3 * data.noisy  # classes 0 and 3 of five
    estimate = estimate_transition_matrix(data.features, noisy, 5, estimator=estimator, steps=250)
    start = initial_logits(5).softmax(dim=1)
    torch.testing.assert_close(estimate.transition[[1, 2, 4]], start[[1, 2, 4]])
    assert not estimate.prior[[1, 2, 4]].any()
    found = estimate.transition[[0, 3]][:, [0, 3]]
    assert (found - noise_matrix(2, 0.2, 'symmetric')).abs().mean() < 0.03


def test_belief_holds_the_rows_of_missing_classes_and_weighs_in_by_its_strength():
    data = noisy_clusters(2, 0.2, points=3000)
    belief = torch.tensor([[0.5, 0.4, 0.1], [0.3, 0.6, 0.1], [0.2, 0.2, 0.6]])
    weak, strong = (
        estimate_transition_matrix(data.features, data.noisy, 3, prior_transition=belief, prior_strength=strength)
        for strength in (0, 1e9)
    )
    torch.testing.assert_close(weak.transition[2], belief[2])
    assert (weak.transition[:2, :2] - noise_matrix(2, 0.2, 'symmetric')).abs().mean() < 0.03
    torch.testing.assert_close(strong.transition, belief, atol=1e-4, rtol=0)


CASES = {
    'no points': (torch.zeros(0, 4), torch.zeros(0)),
    'two points': (torch.randn(2, 4), torch.tensor([0, 1])),
    'one class': (torch.randn(30, 4), torch.full((30,), 2)),
    'constant features': (torch.ones(30, 4), torch.arange(30) % 3),
    'zero features': (torch.zeros(30, 4), torch.arange(30) % 3),
    'one direction': (torch.arange(1, 31).unsqueeze(1) * torch.ones(4), torch.arange(30) % 3),
}


@pytest.mark.parametrize('estimator', ['likelihood', 'consensus'])
@pytest.mark.parametrize('case', CASES)
def test_hopeless_input_returns_the_start_with_one_warning(case, estimator):
    features, labels = CASES[case]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        estimate = estimate_transition_matrix(features, labels, 3, estimator=estimator)
    assert len(caught) == 1
    assert 'stays at its start' in str(caught[0].message)
    assert caught[0].filename == __file__
    torch.testing.assert_close(estimate.transition, initial_logits(3).softmax(dim=1))
    assert estimate.prior.sum().item() == pytest.approx(1)
    assert estimate.residual == 0


@pytest.mark.parametrize('estimator', ['likelihood', 'consensus'])
@pytest.mark.parametrize('points', [3, 4, 11])
def test_few_points_and_duplicates_stay_finite(points, estimator):
    generator = torch.Generator().manual_seed(points)
    features = torch.randn(points, 3, generator=generator)
    features[1] = features[0]
    estimate = estimate_transition_matrix(features, torch.arange(points) % 3, 3, estimator=estimator, steps=20)
    assert estimate.transition.isfinite().all()
    assert estimate.prior.isfinite().all()
    torch.testing.assert_close(estimate.transition.sum(dim=1), torch.ones(3))


@pytest.mark.parametrize(
    ('change', 'match'),
    [
        ({'num_classes': 1}, 'num_classes'),
        ({'labels': torch.full((9,), 3)}, 'labels reach'),
        ({'labels': torch.zeros(8)}, 'labels'),
        ({'features': torch.full((9, 2), torch.nan)}, 'NaN'),
        ({'estimator': 'magic'}, 'estimator'),
        ({'num_points': 2}, 'num_points'),
        ({'num_neighbours': 1}, 'num_neighbours'),
        ({'prior_strength': -1}, 'prior_strength'),
        ({'prior_transition': torch.eye(2)}, 'prior_transition'),
        ({'prior_transition': torch.ones(3, 3)}, 'sum to 1'),
    ],
)
def test_wrong_arguments_are_named(change, match):
    arguments = {'features': torch.randn(9, 2), 'labels': torch.arange(9) % 3, 'num_classes': 3, **change}
    with pytest.raises(ValueError, match=match):
        estimate_transition_matrix(**arguments)


@pytest.mark.parametrize(('classes', 'diagonal'), [(2, 0.967), (6, 0.967), (19, 0.8)])
def test_initial_logits_have_the_diagonal(classes, diagonal):
    start = initial_logits(classes, diagonal=diagonal).softmax(dim=1)
    torch.testing.assert_close(start, noise_matrix(classes, 1 - diagonal, 'symmetric'))
