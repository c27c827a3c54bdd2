"""Losses and gradients that are not finite are found before they reach the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from mmengine.dist import all_reduce
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from dlc_mmseg.errors import shown_path

_DOMAINS = {'source': ('source',), 'masked': ('target',), 'transition': ('target',)}
"""Domains whose images enter a branch; the others mix both."""


class NonFiniteLossError(FloatingPointError):
    """A loss or gradient is not finite; the message names iteration, branch and images."""


class NonFinite(NamedTuple):
    """What is not finite.

    Attributes:
        name: Name of the loss as it is logged, or ``gradient``.
        value: Its value in this process, finite if only another process has the problem.
    """

    name: str
    value: float


@torch.no_grad()
def find_non_finite(log: dict[str, Tensor], parameters: Iterable[nn.Parameter] | None = None) -> NonFinite | None:
    """Look for values that are not finite, in all processes; reads the device once.

    Args:
        log: Scalars by name, with ``loss``; losses and the terms of T count, other figures may be anything.
        parameters: Parameters whose gradients count as well.

    Returns:
        The first loss that is not finite, else the gradient, else None; the same name in all processes.
    """
    parts = [name for name in log if name != 'loss' and ('loss' in name or name.startswith('transition.'))]
    values = {name: log[name].detach().float() for name in (*parts, 'loss')}
    if parameters is not None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norms = torch._foreach_norm(gradients) if gradients else []
        values['gradient'] = sum((norm.float() for norm in norms), torch.zeros_like(values['loss']))
    joined = torch.stack(list(values.values()))
    finite = joined.isfinite().float()
    all_reduce(finite, op='min')
    for name, value, passed in zip(values, joined.tolist(), finite.tolist(), strict=True):
        if not passed:
            return NonFinite(name, value)
    return None


def non_finite_line(problem: NonFinite, iteration: int, data_samples: dict[str, list[SegDataSample]]) -> str:
    """One line for the user.

    Args:
        problem: What was found.
        iteration: Number of the iteration, from 1 as in the log.
        data_samples: ``source`` and ``target`` samples of the batch.

    Returns:
        Iteration, branch, value and images.
    """
    domains = _DOMAINS.get(problem.name.split('.')[0], ('source', 'target'))
    images = '; '.join(f'{domain} images {_names(data_samples[domain])}' for domain in domains)
    what = f'the {problem.name}' if '.' not in problem.name else problem.name
    here = not math.isfinite(problem.value)
    found = f'is {problem.value}' if here else 'is not finite in another process, which names its images'
    return f'iteration {iteration}: {what} {found} ({images})'


def clone_buffers(model: nn.Module) -> list[Tensor]:
    """Copies of all buffers (running statistics, transition matrix), for `restore_buffers`."""
    return [buffer.clone() for buffer in model.buffers()]


@torch.no_grad()
def restore_buffers(model: nn.Module, copies: Sequence[Tensor]) -> None:
    """Put back what `clone_buffers` copied."""
    for buffer, copy in zip(model.buffers(), copies, strict=True):
        buffer.copy_(copy)


def _names(data_samples: Sequence[SegDataSample]) -> str:
    return ', '.join(shown_path(sample.metainfo.get('img_path', 'of unknown name')) for sample in data_samples)
