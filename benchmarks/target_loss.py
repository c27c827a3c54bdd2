"""The corrected target loss beside `F.cross_entropy`: processor seconds and peak memory of value and gradient.

Random logits, smoothing as in DLC; one thread. ``masked`` corrects half of the image, as in a mixed one.

Example:
    OMP_NUM_THREADS=1 python benchmarks/target_loss.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from measuring import Ratio, alone, fastest, peak_above, status, table_of
from torch import Tensor

from dlc_mmseg.functional import forward_corrected_cross_entropy

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


if __name__ == '__main__':
    print(table_of(ratios()))
