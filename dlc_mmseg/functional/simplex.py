"""Least squares over the simplex: how a point is best mixed from others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls  # type: ignore[attr-defined]

Array = NDArray[np.float64]


def hull_weights(points: Array) -> Array:
    """Weights that mix every point from the other points with the smallest squared error.

    Row i of the result solves ``min_w ||w points - points[i]||^2`` with ``w >= 0``, ``sum w = 1`` and
    ``w[i] = 0``. Where the solution uses all other points it has a closed form (one pseudo-inverse for all
    rows). The remaining rows are non-negative least squares (Lawson and Hanson, Solving Least Squares Problems,
    1974, chapter 23.4: least distance programming).

    Args:
        points: (K, M), K >= 2.

    Returns:
        (K, K) weights, zero diagonal, rows on the simplex.
    """
    centred = points - points.mean(axis=0)
    weights = _full_support(centred @ centred.T)
    for row in np.flatnonzero(weights.min(axis=1) < 0):
        weights[row] = _nearest_mixture(points, int(row))
    return weights


def _full_support(gram: Array) -> Array:
    """Optimum without the sign constraint; a row of -1 where it is not unique.

    ``v = e_i - w`` minimises ``v G v`` with ``v_i = 1`` and ``sum v = 0``, so ``v = G^+ e_i / G^+_ii``.
    """
    count = len(gram)
    if np.linalg.matrix_rank(gram, hermitian=True) < count - 1:
        return np.full_like(gram, -1.0)
    inverse = np.linalg.pinv(gram, hermitian=True)
    weights: Array = -inverse / inverse.diagonal()[:, None]
    np.fill_diagonal(weights, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def _nearest_mixture(points: Array, row: int) -> Array:
    """Weights of the others at the point of their hull that is nearest to one."""
    others = np.delete(np.arange(len(points)), row)
    offsets = (points[others] - points[row]).T
    solved, _ = nnls(np.vstack([offsets, np.ones(len(others))]), np.append(np.zeros(len(offsets)), 1.0))
    weights = np.zeros(len(points))
    weights[others] = solved / solved.sum()
    return weights
