"""What training processes share: averaged gradients and batch norm statistics, pooled counts."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from mmengine.dist import all_reduce, all_reduce_params, get_world_size
from mmengine.optim import OptimWrapper
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from dlc_mmseg.functional.consensus import ConsensusCounts

_BUCKET_MEGABYTES = 32


def trained_parameters(optim_wrapper: OptimWrapper) -> list[nn.Parameter]:
    """Parameters of an optimizer that are trained, in an order that all processes agree on."""
    groups = optim_wrapper.optimizer.param_groups
    return [parameter for group in groups for parameter in group['params'] if parameter.requires_grad]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes; with one process nothing happens.

    A parameter without a gradient on some processes counts there as 0; one without a gradient on all keeps None,
    so that an optimizer leaves it alone as it does in a single process.

    Args:
        parameters: The same parameters in the same order on all processes.
    """
    world_size = get_world_size()
    if world_size == 1:
        return
    parameters = list(parameters)
    present = torch.tensor([float(parameter.grad is not None) for parameter in parameters])
    all_reduce(present)
    used = [parameter for parameter, count in zip(parameters, present.tolist(), strict=True) if count]
    for parameter in used:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in used if parameter.grad is not None]
    all_reduce_params(gradients, bucket_size_mb=_BUCKET_MEGABYTES, op='mean')


@torch.no_grad()
def average_statistics(*networks: nn.Module) -> None:
    """Replace the running statistics of batch norms by their mean over all processes.

    Without it each process would predict, and its teacher label, with statistics of its own images only.

    Args:
        networks: Networks of the same structure on all processes.
    """
    if get_world_size() == 1:
        return
    norms = [part for network in networks for part in network.modules() if isinstance(part, _BatchNorm)]
    statistics = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var) if buffer is not None]
    if statistics:
        all_reduce_params(statistics, bucket_size_mb=_BUCKET_MEGABYTES, op='mean')


def pooled_counts(counts: ConsensusCounts, num_points: int) -> ConsensusCounts:
    """Consensus counts of the points of all processes together.

    Args:
        counts: Shares among this process' points; zeros if it has none.
        num_points: How many points those are.

    Returns:
        Shares among all points, the same on all processes; zeros if no process has any.
    """
    if get_world_size() == 1:
        return counts
    weighted = [count.flatten() * num_points for count in counts]
    joined = torch.cat([*weighted, weighted[0].new_tensor([float(num_points)])])
    all_reduce(joined)
    shares = torch.split(joined[:-1] / joined[-1].clamp(min=1), [count.numel() for count in counts])
    return ConsensusCounts(*(share.view_as(count) for share, count in zip(shares, counts, strict=True)))
