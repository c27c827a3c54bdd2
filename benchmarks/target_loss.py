"""The corrected target loss beside `F.cross_entropy`: processor seconds and peak memory of value and gradient.

Random logits, smoothing as in DLC; one thread. ``masked`` corrects half of the image, as in a mixed one.

Example:
    OMP_NUM_THREADS=1 python benchmarks/target_loss.py
    OMP_NUM_THREADS=1 python benchmarks/target_loss.py --passes 6
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from measuring import Ratio, alone, fastest, peak_above, status, table_of
from torch import Tensor

from dlc_mmseg.functional import forward_corrected_cross_entropy
from dlc_mmseg.functional.noisy_label_loss import _PIECE, _mean_log

SIDES = {6: 512, 19: 512, 150: 256}
"""Side of the two images in pixels by number of classes."""


def parts_of(classes: int) -> dict[str, Callable[[], Tensor]]:
    """Gradients of all losses on one batch."""
    torch.set_num_threads(1)
    generator, side = torch.Generator().manual_seed(0), SIDES[classes]
    logits = torch.randn(2, classes, side, side, generator=generator).requires_grad_()
    labels = torch.randint(classes, (2, side, side), generator=generator)
    labels[:, :3] = 255
    transition = torch.full((classes, classes), 0.033 / (classes - 1)).fill_diagonal_(0.967)
    half = torch.zeros(2, side, side, dtype=torch.bool)
    half[:, : side // 2] = True

    def corrected(smoothing: float = 0.02, mask: Tensor | None = None) -> Tensor:
        loss = forward_corrected_cross_entropy(
            logits, labels, transition, transition_mask=mask, label_smoothing=smoothing, ce_weight=0.8
        )
        return torch.autograd.grad(loss, logits)[0]

    return {
        'cross-entropy': lambda: torch.autograd.grad(F.cross_entropy(logits, labels, ignore_index=255), logits)[0],
        'corrected': lambda: corrected(smoothing=0.0),
        'corrected, smoothed': corrected,
        'corrected, smoothed, masked': lambda: corrected(mask=half),
    }


def peak_of(classes: int, name: str) -> float:
    """MiB above the logits."""
    parts = parts_of(classes)
    parts_of(6)[name]()  # loads what is loaded once
    return peak_above(status('VmRSS'), parts[name])


def ratios() -> list[Ratio]:
    """Time and memory by number of classes."""
    found = []
    for classes in SIDES:
        spent = fastest(parts_of(classes), 7)
        reference = spent.pop('cross-entropy')
        found += [
            Ratio(f'target loss, K = {classes}, {name}', 1e3 * taken, 'cross-entropy', 1e3 * reference, 'ms')
            for name, taken in spent.items()
        ]
        memory = [alone(peak_of, classes, name) for name in ('corrected, smoothed, masked', 'cross-entropy')]
        found.append(Ratio(f'target loss, K = {classes}, memory', memory[0], 'cross-entropy', memory[1], 'MiB'))
    return found


def operations(classes: int) -> list[Ratio]:
    """What the passes of the smoothed loss take one by one, over as many pixels, beside `F.cross_entropy`."""
    parts, side = parts_of(classes), SIDES[classes]
    pixels = _PIECE['cpu'] // classes
    pieces = 2 * side * side / pixels
    logits, labels = torch.randn(classes, pixels), torch.randint(classes, (1, pixels))
    transition = torch.full((classes, classes), 0.033 / (classes - 1)).fill_diagonal_(0.967)
    probs, label, whole = logits.softmax(dim=0), torch.rand(1, pixels), torch.randn(2, classes, side * side)
    passes: dict[str, Callable[[], object]] = {
        'softmax': lambda: logits.softmax(dim=0),
        'two products with T': lambda: (transition @ probs, transition @ probs),
        'smallest mixture': lambda: float(probs.amin(dim=0).min()),
        "the label's mixture and its logarithm": lambda: probs.gather(0, labels).log(),
        'mean logarithm': lambda: _mean_log(probs, 1e-4),
        'reciprocals': lambda: probs.reciprocal().mul_(0.1),
        "the label's share added": lambda: probs.scatter_add_(0, labels, 0.9 / label),
        'slope': lambda: torch.addcmul(probs, probs, logits, value=-1),
    }
    taken = {name: pieces * spent for name, spent in fastest(passes, 3).items()}
    taken |= fastest({'slope times weight': lambda: whole * whole[:, :1]}, 3)
    spent = fastest({name: parts[name] for name in ('cross-entropy', 'corrected, smoothed')}, 3)
    taken['all, as called'] = spent['corrected, smoothed']
    reference = spent['cross-entropy']
    return [Ratio(name, 1e3 * part, 'cross-entropy', 1e3 * reference, 'ms') for name, part in taken.items()]


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        '--passes', type=int, choices=SIDES, help='only time the passes of the loss for so many classes'
    )
    chosen = parser.parse_args().passes
    print(table_of(ratios() if chosen is None else operations(chosen)))
