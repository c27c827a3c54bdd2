"""Log and picture of the transition matrix during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from dlc_mmseg.engine.labelled_target import labelled_target
from dlc_mmseg.engine.matrix_pictures import Confusion, draw_matrices
from dlc_mmseg.engine.true_confusion import count_teacher_confusion
from dlc_mmseg.functional.confusion import precision_matrix, transition_error, true_transition
from dlc_mmseg.functional.spread import spread_indices
from dlc_mmseg.functional.transition import log_volume
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor

_MEASURED = ('error', 'identity_error')


@HOOKS.register_module()
class TransitionMatrixHook(Hook):
    """Logs T every iteration; on an interval measures its error on labelled target images and draws it.

    ``T[i, j] = P(pseudo-label = j | true label = i)``: rows are true classes. In the log and in every Visualizer
    backend, beside the losses: ``transition.diagonal`` (mean), ``transition.log_volume``, the terms of T's own loss
    (the step reports them; ``transition.residual`` is how badly T explains its evidence), and in the iterations that
    measure ``transition.error``, the mean |T - T_true|, and ``transition.identity_error``, the same for the identity,
    which is what correcting nothing would leave. These two go to the backends whether or not the log is due, and so
    does the diagonal of each class, ``transition.diagonal.CLASS`` and ``transition.true_diagonal.CLASS``.

    Labels serve for measuring only. T_true is counted on them from the teacher's labels of whole images; weights,
    statistics, modes and random generators of the training are left as they were. The picture shows T and T_true by
    rows, and by columns ``P(true label = i | pseudo-label = j)``, for which T is taken with its class prior. A model
    without a transition matrix is left alone.

    Args:
        interval: Iterations between measurements and pictures.
        labelled_target: Config of a labelled dataset of the target domain, with a test pipeline; None takes the
            run's validation set, where there is one.
        num_images: Images to measure on at most, evenly spread over that dataset; 0 measures nothing.

    Raises:
        ValueError: If a number is out of its range.
        UserError: At the start of training, if ``labelled_target`` gives no labels.
    """

    priority = 'NORMAL'  # before the LoggerHook, so that what is measured is logged with the same iteration

    def __init__(
        self, interval: int = 1000, *, labelled_target: dict[str, Any] | None = None, num_images: int = 64
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval is {interval}: give a number of iterations >= 1')
        if num_images < 0:
            raise ValueError(f'num_images is {num_images}: give a number >= 0')
        self.interval = interval
        self.labelled_target = labelled_target
        self.num_images = num_images
        self._dataset: Any = None

    def before_train(self, runner: Runner) -> None:
        """Build the labelled dataset, so that what is wrong with it shows before training."""
        name = type(self).__name__
        self._dataset = labelled_target(runner, self.labelled_target, name) if self.num_images else None

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Log T; measure and draw it when the interval is reached."""
        model = unwrapped(runner.model)
        if not isinstance(model, DLCSegmentor) or model.transition is None:
            return
        for name in _MEASURED:  # of an earlier iteration: the log shall not repeat it
            runner.message_hub.log_scalars.pop(f'train/transition.{name}', None)
        transition = model.transition().detach()
        scalars = {'diagonal': transition.diagonal().mean(), 'log_volume': log_volume(transition)}
        counts = None
        if self.every_n_train_iters(runner, self.interval):
            counts = self._count(runner, model)
            true = true_transition(counts)
            identity = torch.eye(len(transition))
            scalars['error'] = transition_error(transition.cpu(), true)
            scalars['identity_error'] = transition_error(identity, true)
        for name, value in scalars.items():
            if f'transition.{name}' not in (outputs or {}) and bool(value.isfinite()):
                runner.message_hub.update_scalar(f'train/transition.{name}', float(value))
        if counts is not None:
            self._show(runner, model, transition.cpu(), counts)

    def _count(self, runner: Runner, model: DLCSegmentor) -> Tensor:
        """Confusion of the teacher's labels on the labelled images, each process a part of them; 0 where unknown."""
        counts = torch.zeros(model.num_classes, model.num_classes, dtype=torch.long)
        if self._dataset is not None:
            indices = spread_indices(len(self._dataset), self.num_images)[runner.rank :: runner.world_size]
            counts = count_teacher_confusion(model, self._dataset, indices).to(model.iteration.device)
            all_reduce(counts)
        return counts.cpu()

    def _show(self, runner: Runner, model: DLCSegmentor, transition: Tensor, counts: Tensor) -> None:
        classes = runner.train_dataloader.dataset.metainfo['classes']
        iteration, known, true = runner.iter + 1, bool(counts.any()), true_transition(counts)
        error, identity = transition_error(transition, true), transition_error(torch.eye(len(true)), true)
        compared = f'; mean error {error:.3f}, of the identity {identity:.3f}' if known else ''
        runner.logger.info(
            f'transition matrix: P(pseudo-label = true label) {_by_class(classes, transition)}; '
            f'log volume {log_volume(transition):.3f}{compared}'
        )
        scalars = _diagonal('diagonal', classes, transition) | _diagonal('true_diagonal', classes, true)
        if known:
            scalars |= {'transition.error': float(error), 'transition.identity_error': float(identity)}
        runner.visualizer.add_scalars(scalars, step=iteration)
        corrects = not torch.equal(model.transition.correction().cpu(), torch.eye(len(true)))
        notes = [f'T after {iteration} iterations']
        notes += [f'mean error {error:.3f}'] if known else []
        notes += [] if corrects else ['not correcting yet']
        learnt = precision_matrix(model.transition.prior.cpu().unsqueeze(1) * transition)
        matrices = [Confusion(', '.join(notes), transition.numpy(), learnt.numpy())]
        if known:
            title = f'true confusion (mean error of the identity {identity:.3f})'
            matrices.append(Confusion(title, true.numpy(), precision_matrix(counts).numpy()))
        runner.visualizer.add_image('transition', draw_matrices(matrices, classes), step=iteration)


def _by_class(classes: Sequence[str], transition: Tensor) -> str:
    values = zip(classes, transition.diagonal().tolist(), strict=True)
    return ', '.join(f'{name} {value:.2f}' for name, value in values)


def _diagonal(name: str, classes: Sequence[str], transition: Tensor) -> dict[str, float]:
    """Scalars of the diagonal, without those that are not known."""
    values = zip(classes, transition.diagonal().tolist(), strict=True)
    return {f'transition.{name}.{label}': value for label, value in values if value == value}
