"""Forward passes that leave the running statistics of batch norms alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def running_statistics(module: nn.Module, *, update: bool) -> Iterator[None]:
    """Choose whether forward passes within the context enter the running statistics.

    Normalisation itself stays as it is: with batch statistics in training mode. Images with most pixels hidden
    would otherwise make up a good third of the statistics that inference uses.

    Args:
        module: Network whose batch norms are meant.
        update: Whether running statistics are updated.

    Yields:
        Nothing.
    """
    norms = [] if update else [norm for norm in module.modules() if isinstance(norm, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and count is not None:
                norm.num_batches_tracked.copy_(count)
