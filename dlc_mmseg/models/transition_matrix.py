"""The noise transition matrix of the pseudo-labels: its state and its update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.optim.adam import adam

from dlc_mmseg.functional.consensus import ConsensusCounts, consensus_counts, consensus_loss, nearest_neighbours
from dlc_mmseg.functional.transition_estimation import initial_logits
from dlc_mmseg.models.processes import pooled_counts

Regulariser = Callable[[Tensor], dict[str, Tensor]]


class Points(NamedTuple):
    """Pixels drawn for the estimate.

    Attributes:
        features: Shape (N, D).
        labels: Pseudo-labels, shape (N,).
    """

    features: Tensor
    labels: Tensor


def draw_points(features: Tensor, labels: Tensor, valid: Tensor, num_points: int) -> Points:
    """Draw pixels uniformly from the cells of a feature map.

    Args:
        features: Shape (B, D, h, w).
        labels: Pseudo-labels, shape (B, H, W); a cell takes the label of the pixel at its centre.
        valid: Shape (B, H, W), bool; pixels that may be drawn.
        num_points: Points to draw at most.

    Returns:
        At most ``num_points`` points, fewer where the map has fewer valid cells.
    """
    batch_size, depth, height, width = features.shape
    rows = ((torch.arange(height, device=labels.device) + 0.5) * labels.shape[1] / height).long()
    columns = ((torch.arange(width, device=labels.device) + 0.5) * labels.shape[2] / width).long()
    cell_labels = labels[:, rows][:, :, columns].reshape(-1)
    cell_valid = valid[:, rows][:, :, columns].reshape(-1)
    drawn = torch.randperm(batch_size * height * width, device=labels.device)
    drawn = drawn[cell_valid[drawn]][:num_points]
    flat = features.permute(0, 2, 3, 1).reshape(-1, depth)
    return Points(flat[drawn], cell_labels[drawn])


@MODELS.register_module()
class NoiseTransitionMatrix(nn.Module):
    """Transition matrix T and class prior, learnt from the consensus of neighbouring pseudo-labels.

    ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1; ``prior[i] = P(true label = i)``.
    Both are softmaxes of free logits. The logits, and the moments of their own Adam, are buffers: checkpoints carry
    them and no other optimizer touches them.

    Sources: He et al., DLC, IEEE TGRS 2024; consensus by Zhu, Song and Liu, HOC, ICML 2021, section 4.

    Args:
        num_classes: Number of classes K >= 2; `DLCSegmentor` fills it in.
        num_points: Pixels drawn for an update.
        feature_level: Which of the teacher's backbone outputs gives the points' features (0 is the shallowest).
        loss_weight: Weight of the consensus loss beside the regularisers.
        learning_rate: First rate of Adam on the logits; None takes ``3 / total_iterations`` (the published
            3e-4 at 10 000 iterations), or 3e-4 without ``total_iterations``.
        betas: Adam's decay rates.
        total_iterations: Iterations over which the rate falls linearly to 0; None keeps it constant.
        warmup_iterations: Iterations before T corrects anything; it is estimated from the start.
        diagonal: Diagonal of the initial T, in (1 / K, 1).

    Attributes:
        logits: Shape (K, K), buffer.
        prior_logits: Shape (K,), buffer.

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
        num_points: int = 15000,
        feature_level: int = -1,
        estimator: Literal['consensus'] = 'consensus',
        loss_weight: float = 0.2,
        learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
        total_iterations: int | None = None,
        warmup_iterations: int = 0,
        diagonal: float = 0.967,
    ) -> None:
        super().__init__()
        _check_arguments(num_classes, num_points, estimator, total_iterations, warmup_iterations, diagonal)
        default_rate = 3e-4 if total_iterations is None else 3 / total_iterations
        self.num_classes = num_classes
        self.num_points = num_points
        self.feature_level = feature_level
        self.estimator = estimator
        self.loss_weight = loss_weight
        self.learning_rate = default_rate if learning_rate is None else learning_rate
        self.betas = betas
        self.total_iterations = total_iterations
        self.warmup_iterations = warmup_iterations
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

    def update(self, points: Points, regularise: Regulariser) -> dict[str, Tensor]:
        """One gradient step on T and the prior; the network gets no gradient.

        Args:
            points: Pixels with features and pseudo-labels; fewer than three leave the consensus out.
            regularise: Further weighted losses of T, a function of the (K, K) matrix with gradient.

        Returns:
            The terms' values, without gradient, by name.
        """
        with torch.enable_grad(), torch.autocast(self.logits.device.type, enabled=False):
            free = torch.cat([self.logits.flatten(), self.prior_logits]).detach().requires_grad_()
            logits, prior_logits = free[: -self.num_classes].view_as(self.logits), free[-self.num_classes :]
            transition = logits.softmax(dim=1)
            terms = {'consensus': self.consensus(points, transition, prior_logits.softmax(dim=0))}
            terms.update(regularise(transition))
            total = torch.stack([term.float() for term in terms.values()]).sum()
            (gradient,) = torch.autograd.grad(total, free)
        all_reduce(gradient, op='mean')
        self._step(free.detach(), gradient.nan_to_num(0.0))
        return {name: term.detach() for name, term in terms.items()}

    def consensus(self, points: Points, transition: Tensor, prior: Tensor) -> Tensor:
        """Weighted consensus loss (HOC equations 8 to 10) of drawn points under T and the prior; a scalar.

        With several processes the points of all of them count.
        """
        counts = pooled_counts(self.counted(points), len(points.labels) if len(points.labels) >= 3 else 0)
        seen = counts.first.sum() > 0
        return self.loss_weight * consensus_loss(counts, transition, prior) * seen

    def counted(self, points: Points) -> ConsensusCounts:
        """Consensus counts of drawn points; zeros for fewer than three."""
        if len(points.labels) < 3:
            sizes = [(self.num_classes,) * order for order in (1, 2, 3)]
            return ConsensusCounts(*(points.features.new_zeros(size, dtype=torch.float32) for size in sizes))
        neighbours = nearest_neighbours(F.normalize(points.features.float(), dim=1))
        return consensus_counts(points.labels, neighbours, self.num_classes)

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
            eps=1e-8,
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
    if estimator != 'consensus':
        raise ValueError(f"estimator is {estimator!r}: choose 'consensus'")
    if total_iterations is not None and total_iterations < 1:
        raise ValueError(f'total_iterations is {total_iterations}: give the iterations of the run, or None')
    if warmup_iterations < 0:
        raise ValueError(f'warmup_iterations is {warmup_iterations}: give a number >= 0')
    if not 1 / num_classes < diagonal < 1:
        raise ValueError(f'diagonal is {diagonal}: give a share between 1 / {num_classes} and 1')
