"""Least squares over the simplex: how a point is best mixed from others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]


def hull_weights(points: Array, *, max_iterations: int = 2000, tolerance: float = 1e-12) -> Array:
    """Weights that mix every point from the other points with the smallest squared error.

    Row i of the result solves ``min_w ||w points - points[i]||^2`` with ``w >= 0``, ``sum w = 1`` and
    ``w[i] = 0``. Where the solution uses all other points it has a closed form (one pseudo-inverse for all
    rows). The remaining rows are solved together by accelerated projected gradient steps with restarts
    (O'Donoghue and Candes, 2015) and then made exact on the support found.

    Args:
        points: (K, M), K >= 2.
        max_iterations: Limit of gradient steps.
        tolerance: Steps end when no weight moves by more than this.

    Returns:
        (K, K) weights, zero diagonal, rows on the simplex.
    """
    centred = points - points.mean(axis=0)
    gram = centred @ centred.T
    weights = _full_support(gram)
    rows = np.flatnonzero(weights.min(axis=1) < 0)
    if rows.size:
        start = _project(weights[rows], rows)
        weights[rows] = _descend(gram, start, rows, max_iterations, tolerance)
        for row in rows:
            weights[row] = _polish(gram, weights[row], int(row))
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


def _project(values: Array, rows: Rows) -> Array:
    """Nearest points on the simplex whose coordinate ``rows[n]`` is zero, for each row n of ``values``."""
    values = values.copy()
    values[np.arange(len(rows)), rows] = -np.inf
    ordered = -np.sort(-values, axis=1)[:, :-1]
    thresholds = (np.cumsum(ordered, axis=1) - 1) / np.arange(1, values.shape[1])
    last = np.count_nonzero(ordered > thresholds, axis=1) - 1
    projected: Array = np.maximum(values - thresholds[np.arange(len(rows)), last][:, None], 0)
    return projected


def _descend(gram: Array, start: Array, rows: Rows, max_iterations: int, tolerance: float) -> Array:
    """Accelerated projected gradient; momentum restarts per row when it points uphill."""
    rate = 1 / max(float(np.linalg.eigvalsh(gram)[-1]), np.finfo(np.float64).tiny)
    weights, ahead, momentum = start, start, np.ones((len(rows), 1))
    for _ in range(max_iterations):
        moved = _project(ahead - rate * (ahead @ gram - gram[rows]), rows)
        step = moved - weights
        uphill = np.sum((ahead - moved) * step, axis=1, keepdims=True) > 0
        grown = np.where(uphill, 1.0, (1 + np.sqrt(1 + 4 * momentum**2)) / 2)
        ahead = moved + np.where(uphill, 0.0, (momentum - 1) / grown) * step
        weights, momentum = moved, grown
        if np.abs(step).max() < tolerance:
            break
    return weights


def _polish(gram: Array, weights: Array, row: int) -> Array:
    """Exact optimum on the support of ``weights``, kept if it is feasible and no worse."""
    support = np.flatnonzero(weights > 1e-7)
    size = len(support)
    system = np.zeros((size + 1, size + 1))
    system[:size, :size] = gram[np.ix_(support, support)]
    system[size, :size] = system[:size, size] = 1
    target = np.append(gram[support, row], 1.0)
    solved = np.zeros_like(weights)
    solved[support] = np.linalg.lstsq(system, target, rcond=None)[0][:size]
    if solved.min() < 0 or abs(solved.sum() - 1) > 1e-9:
        return weights

    def error(candidate: Array) -> float:
        return float(candidate @ gram @ candidate - 2 * candidate @ gram[row])

    return solved if error(solved) <= error(weights) else weights
