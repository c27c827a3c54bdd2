"""The teacher: an exponential moving average of the student, and how it is updated."""

from __future__ import annotations

import copy

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from dlc_mmseg.models.segmentors.batch_statistics import norms_of


def make_teacher(student: EncoderDecoder) -> EncoderDecoder:
    """Copy of the student that no optimizer touches, in evaluation mode."""
    teacher: EncoderDecoder = copy.deepcopy(student).requires_grad_(False).eval()
    return teacher


@torch.no_grad()
def update_teacher(
    teacher: nn.Module, student: nn.Module, iteration: Tensor, *, momentum: float, update_buffers: bool
) -> None:
    """One step of the moving average, before the iteration's losses.

    ``teacher = (1 - m) teacher + m student`` with ``m = max(1 / (t + 1), momentum)``, so that t = 0 copies the
    student and early iterations average evenly.

    Source: Tarvainen and Valpola, Mean teachers are better role models, NeurIPS 2017; schedule of DAFormer
    (Hoyer et al., CVPR 2022).

    Args:
        teacher: Averaged network, changed in place.
        student: Trained network of the same structure.
        iteration: The iteration t, a tensor of shape () on the networks' device (no host round trip).
        momentum: Share of the student in late iterations, in (0, 1].
        update_buffers: Whether buffers (batch norm statistics) are copied from the student; False leaves them to
            the teacher's own forward passes, but for norms that the student keeps in evaluation mode.
    """
    share = (1.0 / (iteration.float() + 1.0)).clamp(min=momentum)
    averages = [parameter.data for parameter in teacher.parameters()]
    current = [parameter.data for parameter in student.parameters()]
    torch._foreach_mul_(averages, 1.0 - share)
    torch._foreach_add_(averages, torch._foreach_mul(current, share))
    pairs = zip(norms_of(teacher), norms_of(student), strict=True)
    copied = [(teacher, student)] if update_buffers else [(own, other) for own, other in pairs if not other.training]
    for own, other in copied:
        for average, buffer in zip(own.buffers(), other.buffers(), strict=True):
            average.copy_(buffer)


def set_teacher_mode(teacher: nn.Module, student: nn.Module, *, batch_statistics: bool) -> None:
    """Evaluation mode (no dropout, no stochastic depth), with norms on batch statistics if asked for.

    Norms that the student keeps in evaluation mode (``norm_eval``, ``frozen_stages``, a frozen backbone) stay so:
    otherwise both would be different functions of the same frozen weights.

    Args:
        teacher: Network whose mode is set.
        student: Network of the same structure, in the mode that it trains in.
        batch_statistics: Whether norms that the student trains use the statistics of each batch.
    """
    teacher.eval()
    if batch_statistics:
        for norm, trained in zip(norms_of(teacher), norms_of(student), strict=True):
            norm.train(trained.training)
