"""Logarithm of probabilities mixed by a matrix, ``log sum_i p_i T[i, j]``, safe for any logits and zeros in T."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SAFE = 1e-20
"""A mixture of probabilities scaled to a maximum of 1 above this loses nothing to underflow in float32."""
_MAX_EXPONENT = 60.0
"""Cap of ``log(p_i / q_j)``: the gradient to a zero entry of T stays finite in float32."""


def log_mixture(log_probs: Tensor, transition: Tensor | None, labels: Tensor | None = None) -> Tensor:
    """Log noisy posterior ``log q[j] = log sum_i p[i] T[i, j]``.

    Exact zeros of T get their true gradient ``p_i / q_j``. A column of T without any positive entry yields the
    logarithm of the smallest normal number, constant in the logits.

    One matrix product of probabilities serves unless it could underflow, which takes zeros in T that meet confident
    logits. Then each class is summed in log space. Whether zeros do meet such logits is looked up on the CPU only;
    elsewhere any zero of T will do, for which one number is read from the device.

    Args:
        log_probs: log p, (B, K, P).
        transition: T of shape (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``; None means T = I.
        labels: (B, P) long; None asks for all classes.

    Returns:
        ``log q[labels]`` of shape (B, P), or log q of shape (B, K, P).
    """
    if transition is None:
        return log_probs if labels is None else log_probs.gather(1, labels.unsqueeze(1)).squeeze(1)
    positive = bool(transition.detach().min() > _SAFE)  # then so is any mixture of its rows
    if positive or log_probs.device.type == 'cpu':
        peak = log_probs.detach().amax(dim=1, keepdim=True)
        scaled = transition.t() @ (log_probs - peak).exp()
        if labels is not None:
            scaled = scaled.gather(1, labels.unsqueeze(1))
        if positive or bool((scaled.detach() > _SAFE).all()):
            mixture = scaled.log() + peak
            return mixture if labels is None else mixture.squeeze(1)
    if labels is not None:
        return _sum(log_probs, transition, labels)
    return torch.stack([_sum(log_probs, transition, k) for k in range(transition.shape[1])], dim=1)


def _sum(log_probs: Tensor, transition: Tensor, labels: Tensor | int) -> Tensor:
    mixture: Tensor = _LogSum.apply(log_probs, transition, labels)  # type: ignore[no-untyped-call]
    return mixture


def _log_joint(log_probs: Tensor, transition: Tensor, labels: Tensor | int) -> Tensor:
    """``log p_i + log T[i, y]``, shape (B, K, P); minus infinity where T is zero."""
    log_transition = transition.clamp_min(0).log()
    if isinstance(labels, int):
        return log_probs + log_transition[:, labels].unsqueeze(1)
    columns = log_transition.index_select(1, labels.flatten()).view(-1, *labels.shape)
    return log_probs + columns.transpose(0, 1)


class _LogSum(torch.autograd.Function):
    """``log sum_i p_i T[i, y]`` in log space with a closed-form gradient.

    Plain autograd through ``log T`` would give a zero of T no gradient, and would scatter the gradient to T
    pixel by pixel; here it is one matrix product.
    """

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, transition: Tensor, labels: Tensor | int) -> Tensor:
        mixture = torch.logsumexp(_log_joint(log_probs, transition, labels), dim=1)
        floor = math.log(torch.finfo(mixture.dtype).tiny)
        mixture = mixture.masked_fill(mixture.isneginf(), floor)
        ctx.save_for_backward(log_probs, transition, mixture)
        ctx.labels = labels
        return mixture

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        log_probs, transition, mixture = ctx.saved_tensors
        mixture, labels = mixture.unsqueeze(1), ctx.labels
        grad_log_probs = grad_transition = None
        if ctx.needs_input_grad[0]:
            shares = (_log_joint(log_probs, transition, labels) - mixture).exp_()
            grad_log_probs = shares.mul_(grad.unsqueeze(1))
        if ctx.needs_input_grad[1]:
            ratios = (log_probs - mixture).clamp_(max=_MAX_EXPONENT).exp_()
            if isinstance(labels, int):
                grad_transition = torch.zeros_like(transition)
                grad_transition[:, labels] = (ratios * grad.unsqueeze(1)).sum(dim=(0, 2))
            else:
                hits = torch.zeros_like(log_probs).scatter_(1, labels.unsqueeze(1), grad.unsqueeze(1))
                grad_transition = torch.matmul(ratios, hits.transpose(1, 2)).sum(dim=0)
        return grad_log_probs, grad_transition, None
