"""Least squares over the simplex against non-negative least squares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls

from dlc_mmseg.functional.simplex import hull_weights


def _least_distance(points, i):
    """Squared distance of point i to the hull of the others, by Lawson and Hanson's least-distance trick."""
    offsets = (np.delete(points, i, axis=0) - points[i]).T
    solved, _ = nnls(np.vstack([offsets, np.ones(offsets.shape[1])]), np.append(np.zeros(len(offsets)), 1.0))
    return np.sum((offsets @ (solved / solved.sum())) ** 2)


@pytest.mark.parametrize('shape', [(2, 2), (6, 6), (19, 19), (40, 40), (7, 3), (3, 7)])
@pytest.mark.parametrize('seed', range(3))
def test_distances_equal_least_distance_programming(shape, seed):
    points = np.random.default_rng(seed).dirichlet(np.ones(shape[1]), shape[0])
    weights = hull_weights(points)
    assert weights.min() >= 0
    assert not weights.diagonal().any()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    expected = [_least_distance(points, i) for i in range(len(points))]
    np.testing.assert_allclose(((weights @ points - points) ** 2).sum(axis=1), expected, atol=1e-12)


def test_duplicates_and_equal_points():
    twins = np.array([[1.0, 0], [1, 0], [0, 1]])
    np.testing.assert_allclose(hull_weights(twins)[:2], [[0, 1, 0], [1, 0, 0]], atol=1e-9)
    same = hull_weights(np.full((4, 4), 0.25))
    np.testing.assert_allclose(same.sum(axis=1), 1)
    assert same.min() >= 0


def test_input_is_left_alone():
    points = np.random.default_rng(0).dirichlet(np.ones(5), 5)
    before = points.copy()
    hull_weights(points)
    np.testing.assert_array_equal(points, before)
