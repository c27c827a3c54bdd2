"""Seconds and peak memory of one estimation step of T, beside the published recipe and the bare matrix product.

A step is what training does once per iteration: nearest neighbours of all points, counts of label patterns, gradient
of the consensus loss. The floor is the chunked product X X^T alone, into one buffer. The published recipe is written
with the original's loops, its neighbour search in chunks of the same size (the original holds the whole N x N matrix).
Processor seconds of one thread, which others on the machine hardly change. All parts take turns in one process, the
fastest of some rounds counts; peak memory is read in a process per method.

Example:
    OMP_NUM_THREADS=1 python benchmarks/transition_speed.py
    OMP_NUM_THREADS=1 python benchmarks/transition_speed.py --points 2000 --classes 6 --rounds 5 --output /tmp/speed
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from measuring import fastest, status
from plain_recipe import STEPS, count_with_loops, loss_with_loops, two_nearest
from provenance import ROOT, origin, table, write_results
from torch import Tensor

from dlc_mmseg.functional import (
    ConsensusCounts,
    consensus_counts,
    consensus_loss,
    fit_neighbour_labels,
    initial_logits,
    nearest_neighbours,
)

CHUNK = 1024
FEW = 20000  # above it, one round


class Problem(NamedTuple):
    """Normalised features (N, D), noisy labels (N,) and K."""

    features: Tensor
    labels: Tensor
    classes: int


def problem(num_points: int, classes: int, dimensions: int) -> Problem:
    """Clusters with 20 % of the labels drawn anew."""
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(classes, (num_points,), generator=generator)
    other = torch.randint(classes, (num_points,), generator=generator)
    noisy = torch.where(torch.rand(num_points, generator=generator) < 0.2, other, true)
    centres = 2 * torch.randn(classes, dimensions, generator=generator)
    features = centres[true] + torch.randn(num_points, dimensions, generator=generator)
    return Problem(F.normalize(features, dim=1), noisy, classes)


def product(features: Tensor) -> None:
    """All similarities, a chunk at a time into one buffer, and nothing done with them."""
    buffer = features.new_empty(min(CHUNK, len(features)), len(features))
    for start in range(0, len(features), CHUNK):
        chunk = features[start : start + CHUNK]
        torch.mm(chunk, features.t(), out=buffer[: len(chunk)])


def gradient(loss: Callable[[Tensor, Tensor], Tensor], classes: int) -> Tensor:
    """Gradient of a loss of T and the prior to their logits."""
    logits, prior_logits = initial_logits(classes).requires_grad_(), torch.zeros(classes, requires_grad=True)
    value = loss(logits.softmax(dim=1), prior_logits.softmax(dim=0))
    return torch.cat([part.flatten() for part in torch.autograd.grad(value, [logits, prior_logits])])


def our_gradient(counts: ConsensusCounts, classes: int) -> Tensor:
    """Gradient of the package's consensus loss."""
    return gradient(lambda transition, prior: consensus_loss(counts, transition, prior), classes)


def plain_gradient(counts: list[Tensor], classes: int) -> Tensor:
    """Gradient of the consensus loss by the original's loops."""
    return gradient(lambda transition, prior: loss_with_loops(counts, transition, prior), classes)


def our_step(given: Problem) -> Tensor:
    """One step of the package."""
    neighbours = nearest_neighbours(given.features, chunk_size=CHUNK)
    return our_gradient(consensus_counts(given.labels, neighbours, given.classes), given.classes)


def plain_step(given: Problem) -> Tensor:
    """One step of the published recipe."""
    neighbours = two_nearest(given.features, CHUNK)
    return plain_gradient(count_with_loops(given.labels, neighbours, given.classes), given.classes)


METHODS: dict[str, Callable[[Problem], Any]] = {
    'product': lambda given: product(given.features),
    'ours': our_step,
    'plain': plain_step,
}


def seconds_of(given: Problem, rounds: int) -> dict[str, float]:
    """Seconds of the parts of a step, of whole steps, and of a whole fit."""
    pairs = nearest_neighbours(given.features, chunk_size=CHUNK)
    many = nearest_neighbours(given.features, num_neighbours=20, chunk_size=CHUNK)
    counts, classes = consensus_counts(given.labels, pairs, given.classes), given.classes
    start = initial_logits(classes).softmax(dim=1)
    parts: dict[str, Callable[[], Any]] = {
        'product': lambda: product(given.features),
        'ours, neighbours': lambda: nearest_neighbours(given.features, chunk_size=CHUNK),
        'ours, 20 neighbours': lambda: nearest_neighbours(given.features, num_neighbours=20, chunk_size=CHUNK),
        'ours, counts': lambda: consensus_counts(given.labels, pairs, classes),
        'ours, gradient': lambda: our_gradient(counts, classes),
        'ours, step': lambda: our_step(given),
        'plain, neighbours': lambda: two_nearest(given.features, CHUNK),
        'plain, counts': lambda: count_with_loops(given.labels, pairs, classes),
        'plain, gradient': lambda: plain_gradient(list(counts), classes),
        'plain, step': lambda: plain_step(given),
    }
    found = fastest(parts, rounds)
    fit = {'ours, fit': lambda: fit_neighbour_labels(given.labels, many, start)}
    found |= fastest(fit, 1)
    return found | {'plain, fit': STEPS * found['plain, gradient']}


def peak_of(method: str, sizes: tuple[int, int, int], queue: Any) -> None:
    """MiB that a step needs beyond its inputs, from the kernel's high-water mark (Linux); in a process of its own."""
    torch.set_num_threads(1)
    given = problem(*sizes)
    METHODS[method](Problem(given.features[:50], given.labels[:50], given.classes))  # loads what is loaded once
    try:
        Path('/proc/self/clear_refs').write_text('5', encoding='ascii')
        before = status('VmRSS')
        METHODS[method](given)
        queue.put(status('VmHWM') - before)
    except OSError:
        queue.put(None)


def peaks_of(num_points: int, classes: int, dimensions: int) -> dict[str, float | None]:
    """Peak memory of each method's step."""
    context = multiprocessing.get_context('spawn')
    found = {}
    for method in METHODS:
        queue = context.Queue()
        process = context.Process(target=peak_of, args=(method, (num_points, classes, dimensions), queue))
        process.start()
        found[method] = queue.get()
        process.join()
    return found


def row(result: dict[str, Any]) -> list[str]:
    """A line of the table of steps."""
    seconds, peaks = result['seconds'], result['peak_mib']
    small = [seconds[f'{who}, counts'] + seconds[f'{who}, gradient'] for who in ('ours', 'plain')]
    figures = [f'{seconds[name]:.3g}' for name in ('product', 'ours, step', 'plain, step')]
    figures.append(f'{seconds["ours, step"] / seconds["product"]:.2f}')
    figures.append(f'{seconds["plain, step"] / seconds["ours, step"]:.2f}')
    figures.append(f'{small[1] / small[0]:.0f}')
    memory = ['-' if peaks[name] is None else f'{peaks[name]:.0f}' for name in METHODS]
    return [str(result['points']), str(result['classes']), *figures, *memory]


def report(results: list[dict[str, Any]]) -> str:
    """Table of steps and table of their parts as Markdown."""
    header = ['points', 'K', 'product, s', 'ours, s', 'plain, s', 'ours / product', 'plain / ours']
    header += ['plain / ours, counts + gradient', 'product, MiB', 'ours, MiB', 'plain, MiB']
    steps = table(header, [row(result) for result in results])
    names = list(results[0]['seconds'])
    parts = [
        [str(result['points']), str(result['classes']), *(f'{1e3 * result["seconds"][name]:.3g}' for name in names)]
        for result in results
    ]
    note = (
        f"Milliseconds. A fit is a whole estimate once neighbours are known: ours by EM over 20 neighbours' labels, "
        f'plain by {STEPS} gradient steps (extrapolated from one).'
    )
    return '\n\n'.join(['## One step', steps, '## Parts', note, table(['points', 'K', *names], parts)])


def main() -> None:
    """Measure all sizes, print and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--points', type=int, nargs='+', default=[2000, 15000, 60000])
    parser.add_argument('--classes', type=int, nargs='+', default=[6, 19])
    parser.add_argument('--dimensions', type=int, default=256)
    parser.add_argument('--rounds', type=int, default=3, help=f'above {FEW} points: 1')
    parser.add_argument('--output', type=Path, default=ROOT / 'benchmarks/results', help='folder of both result files')
    args = parser.parse_args()
    source = origin()
    torch.set_num_threads(1)
    results = []
    for num_points in args.points:
        for classes in args.classes:
            sizes = (num_points, classes, args.dimensions)
            peaks = peaks_of(*sizes)
            seconds = seconds_of(problem(*sizes), args.rounds if num_points <= FEW else 1)
            results.append({'points': num_points, 'classes': classes, 'seconds': seconds, 'peak_mib': peaks})
            print(results[-1], flush=True)
    body = f'D = {args.dimensions}, chunks of {CHUNK}, one thread.\n\n{report(results)}'
    data = {'dimensions': args.dimensions, 'results': results}
    path = write_results(args.output, 'transition_speed', 'Cost of an estimation step of T', body, data, source)
    print(f'\n{report(results)}\nWritten to {path}')


if __name__ == '__main__':
    main()
