"""The noise transition matrix of the pseudo-labels: its state and its update."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.optim.adam import adam

from dlc_mmseg.functional.transition_estimation import initial_logits
from dlc_mmseg.models.transition.evidence import ConfusionEstimator, ConsensusEstimator
from dlc_mmseg.models.transition.views import Points, Views

Regulariser = Callable[[Tensor], dict[str, Tensor]]


@MODELS.register_module()
class NoiseTransitionMatrix(nn.Module):
    """Transition matrix T and class prior of the pseudo-labels, learnt beside the network.

    ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1; ``prior[i] = P(true label = i)``.
    Both are softmaxes of free logits. The logits, and the moments of their own Adam, are buffers: checkpoints carry
    them and no other optimizer touches them.

    Two estimators say what T is fitted to. ``confusion``, the default, counts the confusions that the teacher expects
    of itself and those of pasted pixels (`ConfusionEstimator`). ``consensus`` is the published recipe
    (`ConsensusEstimator`); on pseudo-labels it drifts to the identity. ``benchmarks/README.md`` compares both with
    the true confusion.

    Source: He et al., DLC, IEEE TGRS 2024.

    Args:
        num_classes: Number of classes K >= 2; `DLCSegmentor` fills it in.
        estimator: ``confusion`` or ``consensus``.
        loss_weight: Weight of the estimator's loss beside the regularisers; None takes 1 (``confusion``) or the
            published 0.2 (``consensus``).
        learning_rate: First rate of Adam on the logits; None takes 0.1 (``confusion``), or for ``consensus``
            ``3 / total_iterations`` (the published 3e-4 at 10 000 iterations; 3e-4 without ``total_iterations``).
        betas: Adam's decay rates.
        total_iterations: Iterations over which the rate falls linearly to 0; None keeps it constant.
        warmup_iterations: Iterations before T corrects anything; it is estimated from the start.
        diagonal: Diagonal of the initial T, in (1 / K, 1).
        momentum: Share of each late iteration in the average of the counts, in (0, 1] (``confusion`` only).
        known_weight: Weight of a pasted pixel, whose true label is known, beside a pseudo-labelled one, >= 0
            (``confusion`` only).
        num_points: Pixels drawn for an update (``consensus`` only).
        feature_level: Which of the teacher's backbone outputs gives the points' features, 0 being the shallowest
            (``consensus`` only).

    Attributes:
        logits: Shape (K, K), buffer.
        prior_logits: Shape (K,), buffer.
        estimator: The estimator, a module.

    Raises:
        ValueError: If an argument is out of its range.
    """

    logits: Tensor
    prior_logits: Tensor
    moments: Tensor
    squared_moments: Tensor
    steps: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        estimator: Literal['confusion', 'consensus'] = 'confusion',
        loss_weight: float | None = None,
        learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
        total_iterations: int | None = None,
        warmup_iterations: int = 0,
        diagonal: float = 0.967,
        momentum: float = 0.02,
        known_weight: float = 2.0,
        num_points: int = 15000,
        feature_level: int = -1,
    ) -> None:
        super().__init__()
        _check_arguments(num_classes, num_points, estimator, total_iterations, warmup_iterations, diagonal)
        _check_confusion(momentum, known_weight)
        _check_solver(loss_weight, learning_rate, betas)
        as_published = estimator == 'consensus'
        published_rate = 3e-4 if total_iterations is None else 3 / total_iterations
        default_weight, default_rate = (0.2, published_rate) if as_published else (1.0, 0.1)
        self.num_classes = num_classes
        self.num_points = num_points if as_published else 0
        self.feature_level = feature_level if as_published else -1
        self.loss_weight = default_weight if loss_weight is None else loss_weight
        self.learning_rate = default_rate if learning_rate is None else learning_rate
        self.betas = betas
        self.eps = 1e-8 if as_published else 1e-3  # gradients of T's logits are differences of probabilities
        self.total_iterations = total_iterations
        self.warmup_iterations = warmup_iterations
        self.estimator: ConsensusEstimator | ConfusionEstimator = (
            ConsensusEstimator(num_classes)
            if as_published
            else ConfusionEstimator(num_classes, diagonal=diagonal, momentum=momentum, known_weight=known_weight)
        )
        size = num_classes * (num_classes + 1)
        self.register_buffer('logits', initial_logits(num_classes, diagonal=diagonal))
        self.register_buffer('prior_logits', torch.zeros(num_classes))
        self.register_buffer('moments', torch.zeros(size))
        self.register_buffer('squared_moments', torch.zeros(size))
        self.register_buffer('steps', torch.zeros(()))

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

    def update(self, points: Points, views: Views, regularise: Regulariser) -> dict[str, Tensor]:
        """One gradient step on T and the prior; the network gets no gradient.

        Args:
            points: Pixels with features and pseudo-labels, for ``consensus``.
            views: The teacher's and the student's views of the iteration, for ``confusion``.
            regularise: Further weighted losses of T, a function of the (K, K) matrix with gradient.

        Returns:
            The terms' values, without gradient, by name; the estimator's is called ``residual``, unweighted.
        """
        with torch.enable_grad(), torch.autocast(self.logits.device.type, enabled=False):
            evidence = self.estimator(points, views)
            free = torch.cat([self.logits.flatten(), self.prior_logits]).detach().requires_grad_()
            logits, prior_logits = free[: -self.num_classes].view_as(self.logits), free[-self.num_classes :]
            transition = logits.softmax(dim=1)
            residual = evidence.loss(transition, prior_logits.softmax(dim=0))
            terms = regularise(transition)
            total = torch.stack([self.loss_weight * residual, *(term.float() for term in terms.values())]).sum()
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
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=1.0,
            weight_decay=0.0,
            eps=self.eps,
            maximize=False,
            capturable=free.is_cuda,
        )
        free = before + rate * (free - before)
        self.logits.copy_(free[: -self.num_classes].view_as(self.logits))
        self.prior_logits.copy_(free[-self.num_classes :])


def _check_arguments(
    num_classes: int,
    num_points: int,
    estimator: str,
    total_iterations: int | None,
    warmup_iterations: int,
    diagonal: float,
) -> None:
    if num_classes < 2:
        raise ValueError(f'num_classes is {num_classes}: a transition matrix needs at least 2')
    if num_points < 3:
        raise ValueError(f'num_points is {num_points}: a point and two neighbours need at least 3')
    if estimator not in ('confusion', 'consensus'):
        raise ValueError(f"estimator is {estimator!r}: choose 'confusion' or 'consensus'")
    if total_iterations is not None and total_iterations < 1:
        raise ValueError(f'total_iterations is {total_iterations}: give the iterations of the run, or None')
    if warmup_iterations < 0:
        raise ValueError(f'warmup_iterations is {warmup_iterations}: give a number >= 0')
    if not 1 / num_classes < diagonal < 1:
        raise ValueError(f'diagonal is {diagonal}: give a share between 1 / {num_classes} and 1')


def _check_solver(loss_weight: float | None, learning_rate: float | None, betas: tuple[float, float]) -> None:
    if loss_weight is not None and not 0 <= loss_weight < math.inf:
        raise ValueError(f'loss_weight is {loss_weight}: give a number >= 0, or None')
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise ValueError(f'learning_rate is {learning_rate}: give a number > 0, or None')
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f'betas is {betas}: give two numbers in [0, 1)')


def _check_confusion(momentum: float, known_weight: float) -> None:
    if not 0 < momentum <= 1:
        raise ValueError(f'momentum is {momentum}: give the share of an iteration in the average, in (0, 1]')
    if known_weight < 0:
        raise ValueError(f'known_weight is {known_weight}: give a number >= 0')
