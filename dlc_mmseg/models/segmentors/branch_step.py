"""Several losses back-propagated one at a time, then one optimizer step or none."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from dlc_mmseg.errors import UserError
from dlc_mmseg.models.segmentors.batch_statistics import running_statistics


def accumulate_branches(
    model: BaseModel,
    network: nn.Module,
    branches: Generator[dict[str, Tensor], None, None],
    optim_wrapper: OptimWrapper,
) -> dict[str, Tensor]:
    """Back-propagate each branch as soon as it is computed.

    Only one branch's graph is alive at a time, so that peak memory stays near that of one supervised step.

    Args:
        model: The model whose `parse_losses` sums a branch.
        network: The network that is trained; what its backward passes repeat does not enter running statistics.
        branches: Losses of the branches, computed lazily.
        optim_wrapper: The optimizer; gradient accumulation and mixed precision are its settings.

    Raises:
        UserError: If a batch norm sees one value per channel: a head pools the only image of a batch.

    Returns:
        Scalars to log, with the sum of all branches under ``loss``.
    """
    log_vars: dict[str, Tensor] = {}
    totals = []
    with closing(branches):  # what a branch has set up for its backward pass is put back, whatever stops it
        while True:
            with optim_wrapper.optim_context(model), _named_batch_size():
                branch = next(branches, None)
            if branch is None:
                break
            loss, branch_log = model.parse_losses(branch)
            branch_log.pop('loss')
            log_vars.update(branch_log)
            if isinstance(loss, Tensor) and loss.requires_grad:
                totals.append(loss.detach())
                with running_statistics(network, update=False):
                    optim_wrapper.backward(optim_wrapper.scale_loss(loss))
                _count(optim_wrapper, -1)  # `backward` has counted each branch as an iteration
    return {**log_vars, 'loss': torch.stack(totals).sum()}


def update_parameters(optim_wrapper: OptimWrapper) -> None:
    """Count one iteration and, unless gradients are still accumulated, step the optimizer."""
    _count(optim_wrapper, 1)
    if optim_wrapper.should_update():
        optim_wrapper.step()
        optim_wrapper.zero_grad()


def drop_gradients(optim_wrapper: OptimWrapper) -> None:
    """Count one iteration without learning from it, nor from others accumulated for the same step."""
    _count(optim_wrapper, 1)
    optim_wrapper.zero_grad()


@contextmanager
def _named_batch_size() -> Iterator[None]:
    """Say in terms of the config what PyTorch says of a batch norm that has nothing to average."""
    try:
        yield
    except ValueError as error:
        if not str(error).startswith('Expected more than 1 value per channel'):
            raise
        what = f'leaves a batch norm with one value per channel, as heads with global pooling do ({error})'
        remedy = "set it to 2 or more, or take norm_cfg=dict(type='GN', num_groups=32) for that head"
        raise UserError('train_dataloader.batch_size', what, remedy) from error


def _count(optim_wrapper: OptimWrapper, change: int) -> None:
    """Change the number of iterations that gradient accumulation goes by.

    `OptimWrapper.backward` raises it by one, which makes a loss an iteration; here an iteration has several. The
    attribute is private, and no public way leads to it: `inner_count` only reads it, `initialize_count_status` wants
    the number of all iterations, which the wrapper keeps to itself, and warns at each call, and `update_params` joins
    the last backward pass and the step, between which all processes agree on whether gradients are finite.
    """
    optim_wrapper._inner_count += change
