"""Warns when pseudo-labels have had no weight in the losses for many iterations."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor


@HOOKS.register_module()
class PseudoLabelWeightHook(Hook):
    """Warns when pseudo-labels have had weight 0 for many iterations in a row.

    Where no pixel of the target is confident enough, mixed images teach their pasted part only and masked images
    nothing, without any loss looking wrong.

    Args:
        patience: Iterations without weight before the warning.

    Raises:
        ValueError: If the patience is not positive.
    """

    priority = 'LOW'

    def __init__(self, patience: int = 200) -> None:
        if patience < 1:
            raise ValueError(f'patience is {patience}: give a number of iterations >= 1')
        self.patience = patience
        self._without_weight = 0

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Count iterations whose pseudo-labels weigh nothing."""
        weight = (outputs or {}).get('target.pseudo_weight')
        if weight is None:
            return
        self._without_weight = 0 if float(weight) > 0 else self._without_weight + 1
        model = unwrapped(runner.model)
        if self._without_weight == self.patience and isinstance(model, MeanTeacherSegmentor):
            runner.logger.warning(
                f'pseudo-labels have had weight 0 for {self.patience} iterations: no target pixel that counts reaches '
                f'model.pseudo_label_threshold={model.pseudo_label_threshold:g}; lower it, or train longer on the '
                f'source first'
            )
