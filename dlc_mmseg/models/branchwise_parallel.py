"""Data-parallel training of segmentors that step branch by branch."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import broadcast
from mmengine.model import BaseModel
from mmengine.model.wrappers import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS
from torch import Tensor, nn

from dlc_mmseg.models.segmentors.branchwise import BranchwiseSegmentor


@MODEL_WRAPPERS.register_module()
class BranchwiseDistributedDataParallel(nn.Module):
    """Wraps the model of each process so that its own `train_step` runs.

    MMEngine's default wrapper computes all losses in one graph, which needs about three times the memory of one
    branch. Here the model back-propagates branch by branch and averages its gradients over the processes once per
    optimizer step, in buckets, before gradients are clipped or unscaled.

    Set ``model_wrapper_cfg = dict(type='BranchwiseDistributedDataParallel')`` in the config; it has an effect only
    when a launcher starts several processes.

    Args:
        module: The model, equal in structure on all processes; parameters and buffers become those of rank 0.
    """

    def __init__(self, module: BaseModel) -> None:
        super().__init__()
        self.module = module
        with torch.no_grad():
            for tensor in module.state_dict().values():
                broadcast(tensor)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own forward pass."""
        return self.module(*args, **kwargs)

    def train_step(
        self, data: dict[str, Any] | tuple[Any, ...] | list[Any], optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """One iteration on this process' batch.

        Args:
            data: Batch of the data loader.
            optim_wrapper: The optimizer.

        Returns:
            Scalars to log, of this process.

        Raises:
            TypeError: If the model does not average gradients over processes itself.
        """
        if not isinstance(self.module, BranchwiseSegmentor):
            raise TypeError(
                f'BranchwiseDistributedDataParallel trains a DLCSegmentor or MeanTeacherSegmentor, not '
                f'{type(self.module).__name__}: set model_wrapper_cfg=None for the default of MMEngine'
            )
        return self.module.train_step(data, optim_wrapper)

    def val_step(self, data: dict[str, Any] | tuple[Any, ...] | list[Any]) -> list[Any]:
        """Predictions for a validation batch."""
        return self.module.val_step(data)

    def test_step(self, data: dict[str, Any] | tuple[Any, ...] | list[Any]) -> list[Any]:
        """Predictions for a test batch."""
        return self.module.test_step(data)


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside a distributed wrapper, or the module itself."""
    return module.get_submodule('module') if is_model_wrapper(module) else module
