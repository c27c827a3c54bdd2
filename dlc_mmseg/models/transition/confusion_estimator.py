"""Estimates T from the confusion that the teacher's probabilities predict and from that on pasted, labelled pixels."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.dist import all_reduce
from mmseg.registry import MODELS
from torch import Tensor

from dlc_mmseg.functional.confusion import expected_confusion
from dlc_mmseg.models.transition.estimator import TransitionEstimator
from dlc_mmseg.models.transition.views import LabelledView, Points, Views, cell_centres

_TINY = 1e-12


class ConfusionEvidence(NamedTuple):
    """Confusion as training sees it; see `ConfusionEstimator`.

    Attributes:
        transition: Shape (K, K), ``[i, j] = P(label = j | true class = i)``.
        prior: Shares of the true classes in the target domain, shape (K,).
    """

    transition: Tensor
    prior: Tensor

    def loss(self, transition: Tensor, prior: Tensor) -> Tensor:
        """Kullback-Leibler divergences of the seen rows from T's, summed, and of the seen prior from the prior."""
        return _divergence(self.transition, transition) + _divergence(self.prior, prior)


@MODELS.register_module()
class ConfusionEstimator(TransitionEstimator):
    """Confusions that the teacher expects of itself, and those of pixels whose true label is known.

    Two kinds of pixels are counted by true class and label:

    - pseudo-labelled ones, by the teacher's probabilities of the true class and the pseudo-label that it makes of
      them: the true confusion, were these probabilities calibrated;
    - pasted source ones, in the mixed images, by their true class and the student's prediction: a confusion that is
      known, in target surroundings and under strong augmentation, which stands for the teacher's. It keeps T from the
      identity where the teacher is too sure.

    The counts are moving averages over iterations. T's rows are their normalised rows; a class that is hardly seen
    keeps the initial row. The prior is that of the pseudo-labelled pixels alone: what is pasted is drawn by class.

    Args:
        num_classes: Number of classes K; `NoiseTransitionMatrix` fills it in.
        momentum: Share of each late iteration in the moving average, in (0, 1].
        known_weight: Weight of a pasted cell of the student's logits, whose true label is known, beside a
            pseudo-labelled pixel, >= 0.
        loss_weight: Weight of the divergence beside the regularisers, >= 0.
        learning_rate: First rate of Adam on the logits, > 0; None takes 0.1.
        betas: Adam's decay rates.
        eps: Added to the denominator of Adam's steps, > 0. Entries of T whose gradient is far below it hardly move,
            where Adam's usual 1e-8 would move them, by noise alone, at the full rate.

    Attributes:
        counts: Shape (K, K), buffer: average counts by true class (row) and label (column).
        class_counts: Shape (K,), buffer: average counts of pseudo-labelled pixels by true class.

    Raises:
        ValueError: If an argument is out of its range.
    """

    counts: Tensor
    class_counts: Tensor
    iterations: Tensor

    def __init__(
        self,
        num_classes: int,
        *,
        momentum: float = 0.02,
        known_weight: float = 2.0,
        loss_weight: float = 1.0,
        learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-3,
    ) -> None:
        super().__init__(num_classes, loss_weight=loss_weight, learning_rate=learning_rate, betas=betas, eps=eps)
        if not 0 < momentum <= 1:
            raise ValueError(f'momentum is {momentum}: give the share of an iteration in the average, in (0, 1]')
        if not 0 <= known_weight < float('inf'):
            raise ValueError(f'known_weight is {known_weight}: give a number >= 0')
        self.momentum = momentum
        self.known_weight = known_weight
        self.register_buffer('counts', torch.zeros(num_classes, num_classes))
        self.register_buffer('class_counts', torch.zeros(num_classes))
        self.register_buffer('iterations', torch.zeros(()))

    def default_rate(self, total_iterations: int | None) -> float:
        """0.1, however long the run.

        Args:
            total_iterations: Iterations of the run, None where unknown.
        """
        return 0.1

    @torch.no_grad()
    def forward(self, points: Points | None, views: Views, initial: Tensor) -> ConfusionEvidence:
        """Count an iteration's views; with several processes those of all of them.

        Args:
            points: Not used here.
            views: Views of the iteration.
            initial: T before anything was learnt, shape (K, K).

        Returns:
            The average so far.
        """
        counts = torch.zeros(2, *self.counts.shape, device=self.counts.device)
        for view in views.pseudo_labelled:
            counts[0] += view.weight * expected_confusion(view.logits.float().softmax(dim=1), *_at_logits(view))
        for view in views.pasted:
            counts[1] += view.weight * self._known(
                view.logits.max(dim=1).indices, *_at_logits(view)
            )  # argmax is slower on a CPU
        all_reduce(counts, op='mean')
        self.iterations += 1
        share = (1 / self.iterations).clamp(min=self.momentum)
        self.counts.lerp_(counts[0] + self.known_weight * counts[1], share)
        self.class_counts.lerp_(counts[0].sum(dim=1), share)
        return self._evidence(initial)

    def _evidence(self, initial: Tensor) -> ConfusionEvidence:
        """Normalised average counts, each row mixed with a trace of the initial one, and the prior of the even one."""
        trace = 1e-3 * self.counts.sum() / self.num_classes + _TINY
        counts = self.counts + trace * initial
        prior = self.class_counts + 1e-3 * self.class_counts.mean() + _TINY
        return ConfusionEvidence(counts / counts.sum(dim=1, keepdim=True), prior / prior.sum())

    def _known(self, predicted: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """Pixels by true label and prediction, (K, K); without waiting for the device, as boolean indices would."""
        counted = counted & (labels >= 0) & (labels < self.num_classes)
        cells = labels.clamp(0, self.num_classes - 1) * self.num_classes + predicted
        known = self.counts.new_zeros(self.num_classes**2).index_add_(0, cells.flatten(), counted.flatten().float())
        return known.view_as(self.counts)


def _at_logits(view: LabelledView) -> tuple[Tensor, Tensor]:
    """Labels of a view, and whether they count, at the resolution of its logits."""
    size = view.logits.shape[-2:]
    return cell_centres(view.labels, *size), cell_centres(view.counted, *size)


def _divergence(seen: Tensor, model: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the last dimension, summed over the others."""
    return torch.xlogy(seen, seen).sum() - torch.xlogy(seen, model.clamp_min(_TINY)).sum()
