"""One training iteration: the teacher follows, branches are back-propagated, the student steps."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Generator
from typing import Any, Literal

import torch
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.errors import UserError
from dlc_mmseg.models.processes import average_gradients, average_statistics, trained_parameters
from dlc_mmseg.models.segmentors.batch_statistics import recomputed_norms
from dlc_mmseg.models.segmentors.branch_step import accumulate_branches, drop_gradients, update_parameters
from dlc_mmseg.models.segmentors.feature_format import FeatureFormat
from dlc_mmseg.models.segmentors.finite_check import (
    NonFinite,
    NonFiniteLossError,
    clone_buffers,
    find_non_finite,
    non_finite_line,
    restore_buffers,
)
from dlc_mmseg.models.segmentors.teacher import set_teacher_mode, update_teacher
from dlc_mmseg.models.segmentors.teacher_statistics import TeacherStatistics
from dlc_mmseg.models.segmentors.wrapping import WrappingSegmentor

_REMEDY = 'look at these images or lower the learning rate'


class BranchwiseSegmentor(WrappingSegmentor):
    """Student and teacher that are trained with the losses of several branches.

    Losses are back-propagated branch by branch, so that one graph is alive at a time. With several processes,
    gradients and running statistics are averaged over them.

    Args:
        segmentor: Config of the segmentor, an EncoderDecoder or subclass.
        data_preprocessor: Config of the preprocessor.
        predict_with: The network that validates and tests, ``student`` or ``teacher``.
        teacher_momentum: Share of the student in each late update of the teacher, in (0, 1].
        teacher_statistics: Config of the `TeacherStatistics` of the teacher's batch norms.
        non_finite_loss: What to do when a loss or gradient is not finite: ``stop`` with an error, or ``skip`` the
            iteration. Either way the student, running statistics and T stay as they were.
        memory_format: Memory format of the features that heads receive, see `ConvertFeatures`.

    Attributes:
        iteration: Iterations so far, buffer of shape ().

    Raises:
        ValueError: If an argument is out of its range.
    """

    iteration: Tensor

    def __init__(
        self,
        segmentor: dict[str, Any],
        data_preprocessor: dict[str, Any] | None,
        predict_with: Literal['student', 'teacher'],
        teacher_momentum: float,
        teacher_statistics: dict[str, Any],
        non_finite_loss: Literal['stop', 'skip'],
        memory_format: FeatureFormat,
    ) -> None:
        super().__init__(segmentor, data_preprocessor, predict_with, memory_format)
        if not 0 < teacher_momentum <= 1:
            raise ValueError(
                f'teacher_momentum is {teacher_momentum}: give the share of the student per step, in (0, 1]'
            )
        if non_finite_loss not in ('stop', 'skip'):
            raise ValueError(f"non_finite_loss is {non_finite_loss!r}: choose 'stop' or 'skip'")
        self.teacher_momentum = teacher_momentum
        self.teacher_statistics: TeacherStatistics = MODELS.build(
            teacher_statistics, default_args={'num_classes': self.num_classes}
        )
        self.non_finite_loss = non_finite_loss
        self.register_buffer('iteration', torch.zeros((), dtype=torch.long))

    def train_step(
        self, data: dict[str, Any] | tuple[Any, ...] | list[Any], optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """One iteration; each branch is back-propagated as soon as it is computed.

        Args:
            data: A batch of `PairedDomainDataset`.
            optim_wrapper: The optimizer of the student.

        Returns:
            Scalars to log; ``loss`` is the sum of all branches.

        Raises:
            NonFiniteLossError: If a loss or gradient is not finite and ``non_finite_loss`` is ``stop``.
        """
        self.follow_student()
        with optim_wrapper.optim_context(self):
            batch = self.data_preprocessor(data, True)
        skips, buffers = self.non_finite_loss == 'skip', clone_buffers(self)
        log = accumulate_branches(self, self.student, self.loss_branches(**batch), optim_wrapper)
        problem = self._agree(log, optim_wrapper)
        if problem is None:
            update_parameters(optim_wrapper)
            return {**log, 'skipped': torch.zeros(())} if skips else log
        restore_buffers(self, buffers)
        drop_gradients(optim_wrapper)
        message = non_finite_line(problem, int(self.iteration), batch['data_samples'])
        if not skips:
            raise NonFiniteLossError(f"{message}; {_REMEDY}, or set model.non_finite_loss='skip'")
        print_log(f'skipped {message}', logger='current', level=logging.WARNING)
        return {'skipped': torch.ones(())}

    def loss(  # type: ignore[override]  # mmseg knows one batch, not two
        self, inputs: dict[str, Tensor], data_samples: dict[str, list[SegDataSample]]
    ) -> dict[str, Tensor]:
        """All losses of one iteration in one graph, for callers that do not use `train_step`.

        Args:
            inputs: ``source`` and ``target``, each (B, C, H, W), normalised.
            data_samples: ``source`` (with labels) and ``target``.

        Returns:
            Losses and figures to log, prefixed with their branch.

        Raises:
            NonFiniteLossError: If a loss is not finite; the callers' step cannot be skipped from here.
            UserError: If batch norms stand in parts with gradient checkpointing (``with_cp``): the caller's backward
                pass would run them again with other statistics, and count these twice.
        """
        if recomputed_norms(self.student) and torch.is_grad_enabled():
            what = 'is called for a network whose batch norms run a second time in the backward pass (with_cp=True)'
            raise UserError(f'{type(self).__name__}.loss', what, 'call train_step, or set with_cp=False')
        self.follow_student()
        buffers = clone_buffers(self)
        losses: dict[str, Tensor] = {}
        for branch in self.loss_branches(inputs, data_samples):
            losses.update(branch)
        average_statistics(self.student, self.teacher)
        problem = find_non_finite(self.parse_losses(losses)[1])
        if problem is not None:
            restore_buffers(self, buffers)
            raise NonFiniteLossError(f'{non_finite_line(problem, int(self.iteration), data_samples)}; {_REMEDY}')
        return losses

    @abstractmethod
    def loss_branches(
        self, inputs: dict[str, Tensor], data_samples: dict[str, list[SegDataSample]]
    ) -> Generator[dict[str, Tensor], None, None]:
        """The losses of one iteration, one branch at a time; each holds a graph of its own.

        Args:
            inputs: ``source`` and ``target``, each (B, C, H, W), normalised.
            data_samples: ``source`` (with labels) and ``target``.

        Yields:
            Prefixed losses of a branch.
        """

    def follow_student(self) -> None:
        """Update the teacher, before the iteration's losses."""
        update_teacher(
            self.teacher,
            self.student,
            self.iteration,
            momentum=self.teacher_momentum,
            update_buffers=self.teacher_statistics.copies_student,
        )
        self.iteration += 1

    @property
    def teacher_batch_statistics(self) -> bool:
        """Whether the teacher's batch norms normalise with the statistics of each batch."""
        return self.teacher_statistics.uses_batches

    def train(self, mode: bool = True) -> BranchwiseSegmentor:
        """Training mode for the student; of the teacher, for norms that the student trains, if so configured."""
        super().train(mode)
        set_teacher_mode(self.teacher, self.student, batch_statistics=self.teacher_batch_statistics)
        return self

    def _agree(self, log: dict[str, Tensor], optim_wrapper: OptimWrapper) -> NonFinite | None:
        """Bring all processes to the same gradients and statistics, and to one opinion of whether they are finite."""
        parameters = trained_parameters(optim_wrapper)
        average_statistics(self.student, self.teacher)
        if optim_wrapper.should_sync():
            average_gradients(parameters)
        scaled = hasattr(optim_wrapper, 'loss_scaler')  # it expects overflows, and skips the step by itself
        return find_non_finite(log, None if scaled else parameters)
