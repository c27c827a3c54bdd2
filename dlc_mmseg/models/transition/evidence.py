"""What T is fitted to: the consensus of neighbours (as published) or confusions that training sees."""

from __future__ import annotations

import warnings
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from torch import Tensor, nn

from dlc_mmseg.functional.confusion import expected_confusion
from dlc_mmseg.functional.consensus import ConsensusCounts, consensus_counts, consensus_loss, nearest_neighbours
from dlc_mmseg.functional.transition_estimation import initial_logits, lack_of_evidence
from dlc_mmseg.models.processes import pooled_counts
from dlc_mmseg.models.transition.views import LabelledView, Points, Views, cell_centres

_TINY = 1e-12


class Evidence(Protocol):
    """One iteration's evidence of T."""

    def loss(self, transition: Tensor, prior: Tensor) -> Tensor:
        """How badly T (K, K) and prior (K,) explain it: a scalar, 0 at best, with gradient to both."""
        ...


class ConsensusEvidence(NamedTuple):
    """Consensus counts of drawn points; see `ConsensusEstimator`.

    Attributes:
        counts: Shares of patterns; zeros where there was nothing to count.
    """

    counts: ConsensusCounts

    def loss(self, transition: Tensor, prior: Tensor) -> Tensor:
        """Sum of the three L2 norms of counted minus modelled consensus; 0 without points."""
        return consensus_loss(self.counts, transition, prior) * (self.counts.first.sum() > 0)


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


class ConsensusEstimator(nn.Module):
    """The published recipe: pseudo-labels of each point and of its two nearest neighbours.

    It takes for granted that neighbours in feature space share their true label and err independently. Pseudo-labels
    are a function of these very features: neighbours agree whether right or wrong, and T drifts to the identity.

    Sources: Zhu, Song and Liu, HOC, ICML 2021; He et al., DLC, IEEE TGRS 2024.

    Args:
        num_classes: Number of classes K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes

    def forward(self, points: Points, views: Views) -> ConsensusEvidence:
        """Count consensus patterns; with several processes the points of all of them.

        Args:
            points: Pixels with features and pseudo-labels. Fewer than three, or points of one label or of one feature,
                say nothing: they count as none, with a warning the first time.
            views: Not used here.

        Returns:
            The counts.
        """
        unit = F.normalize(points.features.float(), dim=1)
        problem = lack_of_evidence(unit, torch.bincount(points.labels, minlength=self.num_classes))
        if problem:
            warnings.warn(f'{problem}: an iteration says nothing about the transition matrix', stacklevel=2)
            sizes = [(self.num_classes,) * order for order in (1, 2, 3)]
            return ConsensusEvidence(pooled_counts(ConsensusCounts(*(unit.new_zeros(size) for size in sizes)), 0))
        counts = consensus_counts(points.labels, nearest_neighbours(unit), self.num_classes)
        return ConsensusEvidence(pooled_counts(counts, len(unit)))


class ConfusionEstimator(nn.Module):
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
        num_classes: Number of classes K.
        diagonal: Diagonal of the initial T.
        momentum: Share of each late iteration in the moving average, in (0, 1].
        known_weight: Weight of a pasted pixel beside a pseudo-labelled one, >= 0.

    Attributes:
        counts: Shape (K, K), buffer: average counts by true class (row) and label (column).
        class_counts: Shape (K,), buffer: average counts of pseudo-labelled pixels by true class.
    """

    counts: Tensor
    class_counts: Tensor
    initial: Tensor
    iterations: Tensor

    def __init__(self, num_classes: int, *, diagonal: float, momentum: float, known_weight: float) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.momentum = momentum
        self.known_weight = known_weight
        self.register_buffer('counts', torch.zeros(num_classes, num_classes))
        self.register_buffer('class_counts', torch.zeros(num_classes))
        self.register_buffer('initial', initial_logits(num_classes, diagonal=diagonal).softmax(dim=1), persistent=False)
        self.register_buffer('iterations', torch.zeros(()))

    @torch.no_grad()
    def forward(self, points: Points | None, views: Views) -> ConfusionEvidence:
        """Count an iteration's views; with several processes those of all of them.

        Args:
            points: Not used here.
            views: Views of the iteration.

        Returns:
            The average so far.
        """
        counts = torch.zeros(2, *self.counts.shape, device=self.counts.device)
        for view in views.pseudo_labelled:
            counts[0] += expected_confusion(view.logits.float().softmax(dim=1), *_at_logits(view))
        for view in views.pasted:
            counts[1] += self._known(view.logits.argmax(dim=1), *_at_logits(view))
        all_reduce(counts, op='mean')
        self.iterations += 1
        share = (1 / self.iterations).clamp(min=self.momentum)
        self.counts.lerp_(counts[0] + self.known_weight * counts[1], share)
        self.class_counts.lerp_(counts[0].sum(dim=1), share)
        return self.evidence()

    def evidence(self) -> ConfusionEvidence:
        """Normalised average counts, each row mixed with a trace of the initial one, and the prior of the even one."""
        trace = 1e-3 * self.counts.sum() / self.num_classes + _TINY
        counts = self.counts + trace * self.initial
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
