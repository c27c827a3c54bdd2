"""Norms with running statistics, and forward passes that leave these alone or borrow others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase


def norms_of(module: nn.Module) -> list[_NormBase]:
    """Norms that may keep running statistics: batch norms, and instance norms that track theirs.

    Args:
        module: A network; copies of it give theirs in the same order.
    """
    return [part for part in module.modules() if isinstance(part, _NormBase)]


@contextmanager
def running_statistics(module: nn.Module, *, update: bool) -> Iterator[None]:
    """Choose whether forward passes within the context enter the running statistics.

    Normalisation itself stays as it is: with batch statistics in training mode. Images with most pixels hidden
    would otherwise make up a good third of the statistics that inference uses. Gradient checkpointing repeats forward
    passes in the backward pass, where they would count a second time.

    Args:
        module: Network whose norms are meant.
        update: Whether running statistics are updated.

    Yields:
        Nothing.
    """
    norms = [] if update else norms_of(module)
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked for norm in norms if norm.num_batches_tracked is not None]
    copies = torch._foreach_add(counts, 0) if counts else ()  # in one launch
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for count, copy in zip(counts, copies, strict=True):
            count.copy_(copy)


def recomputed_norms(module: nn.Module) -> list[_NormBase]:
    """Norms that a backward pass runs a second time, those of parts with gradient checkpointing.

    Args:
        module: A network; parts checkpoint by ``with_cp`` (MMSegmentation) or ``grad_checkpointing`` (timm).
    """
    parts = [
        part
        for part in module.modules()
        if getattr(part, 'with_cp', False) or getattr(part, 'grad_checkpointing', False)
    ]
    return [norm for part in parts for norm in norms_of(part)]


def matching_norms(teacher: nn.Module, student: nn.Module) -> list[tuple[_BatchNorm, _BatchNorm]]:
    """Batch norms of the teacher with those of the student, but for ones without running statistics or frozen.

    Args:
        teacher: The teacher.
        student: The student, of the same structure; a batch norm in evaluation mode while it trains is frozen.
    """
    pairs = zip(teacher.modules(), student.modules(), strict=True)
    return [
        (norm, source)
        for norm, source in pairs
        if isinstance(norm, _BatchNorm)
        and isinstance(source, _BatchNorm)
        and norm.running_mean is not None
        and (source.training or not student.training)
    ]


@contextmanager
def borrowed_statistics(pairs: list[tuple[_BatchNorm, _BatchNorm]]) -> Iterator[None]:
    """Normalise with the second norms' running statistics in place of the first ones' own."""
    names = ('running_mean', 'running_var')
    # by way of the dict: assigning an attribute registers a buffer anew, which in some hundred norms takes milliseconds
    own = [{name: norm._buffers[name] for name in names} for norm, _ in pairs]
    for norm, source in pairs:
        norm._buffers.update({name: source._buffers[name] for name in names})
    try:
        yield
    finally:
        for (norm, _), buffers in zip(pairs, own, strict=True):
            norm._buffers.update(buffers)
