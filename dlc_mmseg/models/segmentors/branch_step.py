"""Several losses back-propagated one at a time, then one optimizer step or none."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor


def accumulate_branches(
    model: BaseModel, branches: Iterator[dict[str, Tensor]], optim_wrapper: OptimWrapper
) -> dict[str, Tensor]:
    """Back-propagate each branch as soon as it is computed.

    Only one branch's graph is alive at a time, so that peak memory stays near that of one supervised step.

    Args:
        model: The model whose `parse_losses` sums a branch.
        branches: Losses of the branches, computed lazily.
        optim_wrapper: The optimizer; gradient accumulation and mixed precision are its settings.

    Returns:
        Scalars to log, with the sum of all branches under ``loss``.
    """
    log_vars: dict[str, Tensor] = {}
    totals = []
    while True:
        with optim_wrapper.optim_context(model):
            branch = next(branches, None)
        if branch is None:
            break
        loss, branch_log = model.parse_losses(branch)
        branch_log.pop('loss')
        log_vars.update(branch_log)
        if isinstance(loss, Tensor) and loss.requires_grad:
            totals.append(loss.detach())
            optim_wrapper.backward(optim_wrapper.scale_loss(loss))
            optim_wrapper._inner_count -= 1  # counts calls, and iterations are meant
    return {**log_vars, 'loss': torch.stack(totals).sum()}


def update_parameters(optim_wrapper: OptimWrapper) -> None:
    """Count one iteration and, unless gradients are still accumulated, step the optimizer."""
    optim_wrapper._inner_count += 1
    if optim_wrapper.should_update():
        optim_wrapper.step()
        optim_wrapper.zero_grad()


def drop_gradients(optim_wrapper: OptimWrapper) -> None:
    """Count one iteration without learning from it, nor from others accumulated for the same step."""
    optim_wrapper._inner_count += 1
    optim_wrapper.zero_grad()
