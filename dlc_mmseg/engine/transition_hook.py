"""Log and picture of the transition matrix during training."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from dlc_mmseg.engine.pictures import draw_matrices
from dlc_mmseg.functional.transition import log_volume
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor
from dlc_mmseg.models.segmentors.teacher import unwrapped


@HOOKS.register_module()
class TransitionMatrixHook(Hook):
    """Logs the diagonal and volume of T and draws it as an annotated heat map on an interval.

    ``T[i, j] = P(pseudo-label = j | true label = i)``: rows are true classes. Scalars and pictures go to every
    Visualizer backend under ``transition/…``. A model without a transition matrix is left alone.

    Args:
        interval: Iterations between pictures.

    Raises:
        ValueError: If the interval is not positive.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 1000) -> None:
        if interval < 1:
            raise ValueError(f'interval is {interval}: give a number of iterations >= 1')
        self.interval = interval

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None,
        outputs: object = None,
    ) -> None:
        """Log and draw T when the interval is reached."""
        model = unwrapped(runner.model)
        if not self.every_n_train_iters(runner, self.interval):
            return
        if not isinstance(model, DLCSegmentor) or model.transition is None:
            return
        transition = model.transition().detach()
        classes = runner.train_dataloader.dataset.metainfo['classes']
        scalars = {
            f'transition/{name}': float(value)
            for name, value in zip(classes, transition.diagonal().tolist(), strict=True)
        }
        scalars['transition/log_volume'] = float(log_volume(transition))
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)
        picture = draw_matrices([(f'T after {runner.iter + 1} iterations', transition.cpu().numpy())], classes)
        runner.visualizer.add_image('transition', picture, step=runner.iter + 1)
