"""The noise transition matrix of the pseudo-labels: its state and its update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.optim.adam import adam

from dlc_mmseg.functional.transition_estimation import initial_logits
from dlc_mmseg.models.transition.estimator import TransitionEstimator, build_estimator
from dlc_mmseg.models.transition.views import Points, Views

Regulariser = Callable[[Tensor], dict[str, Tensor]]


@MODELS.register_module()
class NoiseTransitionMatrix(nn.Module):
    """Transition matrix T and class prior of the pseudo-labels, learnt beside the network.

    ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1; ``prior[i] = P(true label = i)``.
    Both are softmaxes of free logits. The logits, and the moments of their own Adam, are buffers: checkpoints carry
    them and no other optimizer touches them.

    An estimator says what T is fitted to, and brings the weight and the optimizer settings that suit its loss.
    `ConfusionEstimator`, the default, counts the confusions that the teacher expects of itself and those of pasted
    pixels. `ConsensusEstimator` is the published recipe; on pseudo-labels it drifts to the identity.
    ``benchmarks/README.md`` compares both with the true confusion.

    Source: He et al., DLC, IEEE TGRS 2024.

    Args:
        num_classes: Number of classes K >= 2; `DLCSegmentor` fills it in.
        estimator: Config of a `TransitionEstimator`; its type alone, ``'ConfusionEstimator'`` or in short
            ``'confusion'``, takes its defaults.
        total_iterations: Iterations over which the rate falls linearly to 0; None keeps it constant.
        warmup_iterations: Iterations before T corrects anything; it is estimated from the start.
        diagonal: Diagonal of the initial T, in (1 / K, 1).

    Attributes:
        logits: Shape (K, K), buffer.
        prior_logits: Shape (K,), buffer.
        estimator: The `TransitionEstimator`.
        learning_rate: First rate of Adam on the logits, the estimator's.

    Raises:
        ValueError: If an argument is out of its range, or the estimator has no such argument.
    """

    logits: Tensor
    prior_logits: Tensor
    moments: Tensor
    squared_moments: Tensor
    steps: Tensor
    initial: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        estimator: str | dict[str, Any] = 'ConfusionEstimator',
        total_iterations: int | None = None,
        warmup_iterations: int = 0,
        diagonal: float = 0.967,
    ) -> None:
        super().__init__()
        _check_arguments(num_classes, total_iterations, warmup_iterations, diagonal)
        self.num_classes = num_classes
        self.total_iterations = total_iterations
        self.warmup_iterations = warmup_iterations
        self.estimator: TransitionEstimator = build_estimator(estimator, num_classes)
        given = self.estimator.learning_rate
        self.learning_rate = self.estimator.default_rate(total_iterations) if given is None else given
        size, logits = num_classes * (num_classes + 1), initial_logits(num_classes, diagonal=diagonal)
        self.register_buffer('logits', logits)
        self.register_buffer('prior_logits', torch.zeros(num_classes))
        self.register_buffer('moments', torch.zeros(size))
        self.register_buffer('squared_moments', torch.zeros(size))
        self.register_buffer('steps', torch.zeros(()))
        self.register_buffer('initial', logits.softmax(dim=1), persistent=False)

    def forward(self) -> Tensor:
        """The current T, shape (K, K), float32, without gradient."""
        return self.matrix

    @property
    def matrix(self) -> Tensor:
        """The current T, shape (K, K), float32, without gradient."""
        return self.logits.softmax(dim=1)

    @property
    def prior(self) -> Tensor:
        """The current class prior of the target domain, shape (K,)."""
        return self.prior_logits.softmax(dim=0)

    def correction(self) -> Tensor:
        """The matrix that losses are corrected with: the identity during the warm-up, then T; shape (K, K)."""
        if not self.warmup_iterations:
            return self.matrix
        identity = torch.eye(self.num_classes, device=self.logits.device)
        return torch.where(self.steps < self.warmup_iterations, identity, self.matrix)

    def update(self, points: Points | None, views: Views, regularise: Regulariser) -> dict[str, Tensor]:
        """One gradient step on T and the prior; the network gets no gradient.

        Args:
            points: Pixels that the estimator drew, see `TransitionEstimator.draw`.
            views: The teacher's and the student's views of the iteration.
            regularise: Further weighted losses of T, a function of the (K, K) matrix with gradient.

        Returns:
            The terms' values, without gradient, by name; the estimator's is called ``residual``, unweighted.
        """
        with torch.enable_grad(), torch.autocast(self.logits.device.type, enabled=False):
            evidence = self.estimator(points, views, self.initial)
            free = torch.cat([self.logits.flatten(), self.prior_logits]).detach().requires_grad_()
            logits, prior_logits = free[: -self.num_classes].view_as(self.logits), free[-self.num_classes :]
            transition = logits.softmax(dim=1)
            residual = evidence.loss(transition, prior_logits.softmax(dim=0))
            terms = regularise(transition)
            total = torch.stack(
                [self.estimator.loss_weight * residual, *(term.float() for term in terms.values())]
            ).sum()
            (gradient,) = torch.autograd.grad(total, free)
        all_reduce(gradient, op='mean')
        self._step(free.detach(), gradient.where(gradient.isfinite().all(), 0))
        return {name: term.detach() for name, term in {'residual': residual, **terms}.items()}

    @torch.no_grad()
    def _step(self, free: Tensor, gradient: Tensor) -> None:
        """Adam on the joined logits, with the polynomial schedule of power 1."""
        rate: float | Tensor = self.learning_rate
        if self.total_iterations is not None:
            rate = (1 - self.steps / self.total_iterations).clamp(min=0) * self.learning_rate
        before = free.clone()
        adam(
            [free],
            [gradient],
            [self.moments],
            [self.squared_moments],
            [],
            [self.steps],
            amsgrad=False,
            beta1=self.estimator.betas[0],
            beta2=self.estimator.betas[1],
            lr=1.0,
            weight_decay=0.0,
            eps=self.estimator.eps,
            maximize=False,
            capturable=free.is_cuda,
        )
        free = before + rate * (free - before)
        self.logits.copy_(free[: -self.num_classes].view_as(self.logits))
        self.prior_logits.copy_(free[-self.num_classes :])


def _check_arguments(num_classes: int, total_iterations: int | None, warmup_iterations: int, diagonal: float) -> None:
    if num_classes < 2:
        raise ValueError(f'num_classes is {num_classes}: a transition matrix needs at least 2')
    if total_iterations is not None and total_iterations < 1:
        raise ValueError(f'total_iterations is {total_iterations}: give the iterations of the run, or None')
    if warmup_iterations < 0:
        raise ValueError(f'warmup_iterations is {warmup_iterations}: give a number >= 0')
    if not 1 / num_classes < diagonal < 1:
        raise ValueError(f'diagonal is {diagonal}: give a share between 1 / {num_classes} and 1')
