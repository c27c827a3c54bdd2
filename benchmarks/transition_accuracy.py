"""How exactly T is recovered where it is known: this package, the published recipe, cleanlab, and the floor.

Labels of clusters are flipped by a known T; the figure is the mean of |estimated T - T| over entries and seeds.
The floor is T counted from the true labels of the same points. cleanlab needs class probabilities that a classifier
predicts out of sample: it is given two classifiers' (pip install ".[bench]"; without it its columns stay empty).

Example:
    OMP_NUM_THREADS=1 python benchmarks/transition_accuracy.py
    OMP_NUM_THREADS=1 python benchmarks/transition_accuracy.py --classes 2 6 --seeds 2 --output /tmp/accuracy
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import multiprocessing
import os
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from known_noise import Cell, NoisyPoints, cells, draw
from numpy.typing import NDArray
from plain_recipe import STEPS, shares_of_triples, solve_batch, two_nearest
from provenance import ROOT, origin, table, write_results
from torch import Tensor

from dlc_mmseg.functional import estimate_transition_matrix

METHODS = ('floor', 'ours', 'plain', 'cleanlab, logistic', 'cleanlab, k-NN')
SPLITS = 5
NEIGHBOURS = 50
HAS_CLEANLAB = importlib.util.find_spec('cleanlab') is not None


def counted(points: NoisyPoints) -> Tensor:
    """T counted from the true labels."""
    classes = len(points.transition)
    pairs = torch.bincount(points.true * classes + points.noisy, minlength=classes**2).view(classes, classes).float()
    return pairs / pairs.sum(dim=1, keepdim=True).clamp_min(1)


def probabilities(points: NoisyPoints, name: str) -> NDArray[np.floating[Any]] | None:
    """Out-of-sample P(noisy label | features), (N, K), by cross-validation; None where a class has too few points."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    labels = points.noisy.numpy()
    if np.bincount(labels, minlength=len(points.transition)).min() < SPLITS:
        return None
    features = points.features.numpy()
    if name == 'logistic':
        model = LogisticRegression(max_iter=1000)
    else:
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
        model = KNeighborsClassifier(NEIGHBOURS)
    result: NDArray[np.floating[Any]] = cross_val_predict(model, features, labels, cv=SPLITS, method='predict_proba')
    return result


def by_cleanlab(points: NoisyPoints, name: str) -> Tensor | None:
    """T by confident learning (Northcutt, Jiang and Chuang, JAIR 2021): confident joint, then its noise matrix."""
    from cleanlab.count import compute_confident_joint, estimate_latent

    predicted = probabilities(points, name)
    if predicted is None:
        return None
    labels = points.noisy.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        _, noise, _ = estimate_latent(compute_confident_joint(labels, predicted), labels)
    return torch.from_numpy(np.asarray(noise).T).float()  # theirs has the true label in columns


def measure(cell: Cell, *, num_points: int, seeds: int) -> tuple[dict[str, Any], list[Tensor], Tensor]:
    """Errors of a cell by method and seed; for the published recipe its T and label triples instead."""
    torch.set_num_threads(1)
    draws = [draw(cell, num_points, seed) for seed in range(seeds)]
    nearest = [two_nearest(points.features) for points in draws]
    triples = [shares_of_triples(points.noisy, pair, cell.classes) for points, pair in zip(draws, nearest, strict=True)]
    purity = [
        float((points.true[pair] == points.true.unsqueeze(1)).all(dim=1).float().mean())
        for points, pair in zip(draws, nearest, strict=True)
    ]
    estimates: dict[str, list[Tensor | None]] = {
        'floor': [counted(points) for points in draws],
        'ours': [
            estimate_transition_matrix(points.features, points.noisy, cell.classes, num_points=num_points).transition
            for points in draws
        ],
    }
    if HAS_CLEANLAB:
        for name in ('logistic', 'k-NN'):
            estimates[f'cleanlab, {name}'] = [by_cleanlab(points, name) for points in draws]
    errors = {
        name: [error(estimate, points.transition) for estimate, points in zip(found, draws, strict=True)]
        for name, found in estimates.items()
    }
    result = {'cell': cell._asdict(), 'counts': cell.counts, 'purity': sum(purity) / len(purity), 'errors': errors}
    return result, [points.transition for points in draws], torch.stack(triples)


def solve(triples: Tensor, steps: int) -> Tensor:
    """T of all cells of one K by the published recipe, in one batch."""
    torch.set_num_threads(1)
    return solve_batch(triples, torch.Generator().manual_seed(0), steps=steps)


def measure_all(chosen: list[Cell], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Results of all cells."""
    results: list[dict[str, Any]] = []
    truths, triples = [], []
    job = partial(measure, num_points=args.points, seeds=args.seeds)
    with multiprocessing.get_context('spawn').Pool(args.processes) as pool:
        for result, transitions, counts in pool.imap(job, chosen):
            results.append(result)
            truths.append(transitions)
            triples.append(counts)
            figures = ', '.join(f'{name} {mean_error(result, name):.4f}' for name in METHODS if name != 'plain')
            print(f'{len(results)}/{len(chosen)} {tuple(result["cell"].values())}: {figures}', flush=True)
        members = [[i for i, cell in enumerate(chosen) if cell.classes == size] for size in args.classes]
        members = [group for group in members if group]
        batches = [torch.cat([triples[i] for i in group]) for group in members]
        for group, found in zip(members, pool.imap(partial(solve, steps=args.steps), batches), strict=True):
            for i, estimates in zip(group, found.split(args.seeds), strict=True):
                results[i]['errors']['plain'] = [error(*pair) for pair in zip(estimates, truths[i], strict=True)]
    return results


def error(estimate: Tensor | None, truth: Tensor) -> float | None:
    """Mean of |estimate - truth|; None where there is no finite estimate."""
    if estimate is None or not bool(estimate.isfinite().all()):
        return None
    return float((estimate - truth).abs().mean())


def mean_error(result: dict[str, Any], method: str) -> float:
    """Mean over seeds; NaN where the method gave no T for one of them."""
    errors = result['errors'].get(method) or [None]
    return math.nan if None in errors else sum(errors) / len(errors)


def ratios(results: list[dict[str, Any]], method: str, other: str) -> list[float]:
    """Error of a method over another's, in the cells that count and where both gave an answer."""
    pairs = [(mean_error(result, method), mean_error(result, other)) for result in results if result['counts']]
    return [first / second for first, second in pairs if not math.isnan(first + second)]


def geometric_mean(values: list[float]) -> float:
    """Geometric mean, NaN of nothing."""
    return math.exp(sum(math.log(value) for value in values) / len(values)) if values else math.nan


def summary(results: list[dict[str, Any]]) -> str:
    """Ratios over the cells that count: in all, and by K, clusters, kind, noise and prior."""
    groups: list[tuple[str, list[dict[str, Any]]]] = [('all', results)]
    for field in ('classes', 'clusters', 'kind', 'noise', 'prior'):
        values = dict.fromkeys(result['cell'][field] for result in results if result['counts'])
        groups += [(f'{field} {value}', [r for r in results if r['cell'][field] == value]) for value in values]
    rows = []
    for name, members in groups:
        plain = ratios(members, 'ours', 'plain')
        others = [('ours', 'floor'), *(('ours', method) for method in METHODS if method.startswith('cleanlab'))]
        means = [f'{geometric_mean(ratios(members, *pair)):.2f}' for pair in others]
        wins = sum(_cleanlab(result) < mean_error(result, 'ours') for result in members if result['counts'])
        rows.append([name, str(len(plain)), f'{geometric_mean(plain):.2f}', *means, str(wins)])
    header = ['cells', 'number', 'ours / plain', 'ours / floor']
    header += ['ours / cleanlab, logistic', 'ours / cleanlab, k-NN', 'cells where a cleanlab is best']
    return table(header, rows)


def _cleanlab(result: dict[str, Any]) -> float:
    errors = [mean_error(result, method) for method in METHODS if method.startswith('cleanlab')]
    return min((error for error in errors if not math.isnan(error)), default=math.inf)


def worst(results: list[dict[str, Any]], least: float = 0.01) -> tuple[float, str]:
    """Largest ratio to the plain recipe among cells that count and where its error exceeds ``least``; the cell."""
    found = [
        (mean_error(result, 'ours') / mean_error(result, 'plain'), result)
        for result in results
        if result['counts'] and mean_error(result, 'plain') > least
    ]
    value, result = max(found, key=lambda pair: pair[0], default=(math.nan, None))
    if result is None:
        return value, 'none'
    return value, f'{tuple(result["cell"].values())} (ours / floor {ratios([result], "ours", "floor")[0]:.2f})'


def report(results: list[dict[str, Any]]) -> str:
    """Summary and table of all cells as Markdown."""
    value, where = worst(results)
    head = f'Largest ratio ours / plain where the plain error exceeds 0.01: **{value:.2f}**, in {where}.'
    rows = []
    for result in results:
        cell = result['cell']
        errors = [mean_error(result, method) for method in METHODS]
        figures = ['-' if math.isnan(error) else f'{error:.4f}' for error in errors]
        ratio = f'{errors[1] / errors[2]:.2f}' + ('' if result['counts'] else ' *')
        setting = [cell['kind'], str(cell['classes']), f'{cell["noise"]:.0%}', cell['prior'], cell['clusters']]
        rows.append([*setting, f'{result["purity"]:.2f}', *figures, ratio])
    header = ['noise', 'K', 'share', 'prior', 'clusters', 'purity', *METHODS, 'ours / plain']
    legend = (
        'Purity: share of points whose two nearest neighbours are of their class. `*`: T is nearly singular, or the '
        "largest entry of a row is not the class's own by design; the cell is left out of all means."
    )
    return '\n\n'.join([head, summary(results), '## All cells', legend, table(header, rows)])


def main() -> None:
    """Measure all cells, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--classes', type=int, nargs='+', default=[2, 6, 19], help='numbers of classes')
    parser.add_argument('--points', type=int, default=5000)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=STEPS, help='steps of the published recipe')
    parser.add_argument('--limit', type=int, help='measure only this many cells, evenly spread')
    parser.add_argument('--processes', type=int, default=2)
    parser.add_argument('--output', type=Path, default=ROOT / 'benchmarks/results', help='folder of both result files')
    args = parser.parse_args()
    if not HAS_CLEANLAB:
        print('cleanlab or scikit-learn is missing: pip install ".[bench]" fills its columns')
    chosen = cells(tuple(args.classes))
    chosen = chosen[:: max(1, len(chosen) // args.limit)][: args.limit] if args.limit else chosen
    os.environ['OMP_NUM_THREADS'] = '1'  # for the processes: one thread each
    source, start = origin(), time.perf_counter()
    results = measure_all(chosen, args)
    seconds = time.perf_counter() - start
    body = f'{args.points} points, {args.seeds} seeds, {seconds / 60:.1f} min.\n\n{report(results)}'
    data = {'seconds': seconds, 'points': args.points, 'seeds': args.seeds, 'results': results}
    path = write_results(args.output, 'transition_accuracy', 'Accuracy of T where it is known', body, data, source)
    print(f'\n{summary(results)}\n\n{report(results).splitlines()[0]}\nWritten to {path}')


if __name__ == '__main__':
    main()
