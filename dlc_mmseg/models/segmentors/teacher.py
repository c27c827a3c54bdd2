"""The teacher: an exponential moving average of the student, and how it is updated."""

from __future__ import annotations

import copy

import torch
from mmengine.model.wrappers import is_model_wrapper
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def make_teacher(student: EncoderDecoder) -> EncoderDecoder:
    """Copy of the student that no optimizer touches, in evaluation mode."""
    teacher: EncoderDecoder = copy.deepcopy(student).requires_grad_(False).eval()
    return teacher


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside a distributed wrapper, or the module itself."""
    return module.get_submodule('module') if is_model_wrapper(module) else module


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
            the teacher's own forward passes.
    """
    share = (1.0 / (iteration.float() + 1.0)).clamp(min=momentum)
    averages = [parameter.data for parameter in teacher.parameters()]
    current = [parameter.data for parameter in student.parameters()]
    torch._foreach_mul_(averages, 1.0 - share)
    torch._foreach_add_(averages, torch._foreach_mul(current, share))
    if update_buffers:
        for average, buffer in zip(teacher.buffers(), student.buffers(), strict=True):
            average.copy_(buffer)


def set_teacher_mode(teacher: nn.Module, *, batch_statistics: bool) -> None:
    """Evaluation mode (no dropout, no stochastic depth), with batch norms on batch statistics if asked for."""
    teacher.eval()
    if batch_statistics:
        for module in teacher.modules():
            if isinstance(module, _BatchNorm):
                module.train()
