"""Which statistics the teacher's batch norms normalise with, and with which it predicts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.models.segmentors.batch_statistics import running_statistics


class TeacherStatistics(nn.Module):
    """How the teacher's batch norms get their statistics.

    Args:
        num_classes: Number of classes K; the segmentor fills it in.

    Attributes:
        copies_student: Whether the teacher takes over the student's running statistics at each update.
        uses_batches: Whether the teacher's batch norms are in training mode while it labels.
        needs_target: Whether target images are looked at even without self-training.
    """

    copies_student = False
    uses_batches = False
    needs_target = False

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def see_source(self, labels: Tensor) -> None:
        """Take notice of the source labels of an iteration, shape (B, H, W), 255 unknown."""

    def pixel_weights(
        self, teacher: nn.Module, student: nn.Module, predict: Callable[[], Tensor], valid: Tensor
    ) -> Tensor | None:
        """Weights of the pixels of a target batch in the statistics.

        Args:
            teacher: The teacher, in evaluation mode.
            student: The student.
            predict: Gives the teacher's logits of the batch, shape (B, K, H, W).
            valid: Shape (B, H, W), bool: False on padding.

        Returns:
            Shape (B, H, W); None where they are not weighted.
        """
        return None

    def labelling(
        self, teacher: nn.Module, student: nn.Module, weights: Tensor | None
    ) -> AbstractContextManager[object]:
        """Context of the forward pass that labels the batch and updates the teacher's statistics."""
        return nullcontext()

    def learning(self, teacher: nn.Module, student: nn.Module, *, update: bool) -> AbstractContextManager[object]:
        """Context of the student's passes over target images, forward and backward.

        Args:
            teacher: The teacher.
            student: The student, in training mode.
            update: Whether the images may enter the student's running statistics.
        """
        return running_statistics(student, update=update)


@MODELS.register_module()
class StudentStatistics(TeacherStatistics):
    """The student's running statistics, which mix source, mixed and (if asked for) masked images."""

    copies_student = True


@MODELS.register_module()
class BatchStatistics(TeacherStatistics):
    """Statistics of each target batch, and running ones of the target to predict with (AdaBN), as in DACS and MIC.

    Source: Li et al., Revisiting batch normalization for practical domain adaptation, ICLR workshop 2017.
    """

    uses_batches = True


def chosen_statistics(statistics: dict[str, Any] | None, batch_statistics: bool | None) -> dict[str, Any]:
    """Config of the statistics that the two arguments of a segmentor ask for.

    Args:
        statistics: Config; None is `BatchStatistics`.
        batch_statistics: Earlier form: True is `BatchStatistics`, False `StudentStatistics`.

    Raises:
        ValueError: If both are given.
    """
    if batch_statistics is None:
        return {'type': 'BatchStatistics'} if statistics is None else statistics
    meant = 'BatchStatistics' if batch_statistics else 'StudentStatistics'
    if statistics is not None:
        raise ValueError(
            f'teacher_batch_statistics={batch_statistics} is the earlier form of teacher_statistics, which is given '
            f"too: leave it out and set teacher_statistics=dict(_delete_=True, type='{meant}') if that is meant"
        )
    return {'type': meant}
