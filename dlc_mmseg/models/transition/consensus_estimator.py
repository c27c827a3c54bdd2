"""T from the consensus of neighbours in feature space, as published."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor

from dlc_mmseg.functional.consensus import ConsensusCounts, consensus_counts, consensus_loss, nearest_neighbours
from dlc_mmseg.functional.transition_estimation import lack_of_evidence
from dlc_mmseg.models.backbone_outputs import level_of
from dlc_mmseg.models.processes import pooled_counts
from dlc_mmseg.models.transition.estimator import TransitionEstimator
from dlc_mmseg.models.transition.views import Points, Views, draw_points


class ConsensusEvidence(NamedTuple):
    """Consensus counts of drawn points; see `ConsensusEstimator`.

    Attributes:
        counts: Shares of patterns; zeros where there was nothing to count.
    """

    counts: ConsensusCounts

    def loss(self, transition: Tensor, prior: Tensor) -> Tensor:
        """Sum of the three L2 norms of counted minus modelled consensus; 0 without points."""
        return consensus_loss(self.counts, transition, prior) * (self.counts.first.sum() > 0)


@MODELS.register_module()
class ConsensusEstimator(TransitionEstimator):
    """The published recipe: pseudo-labels of each point and of its two nearest neighbours.

    It takes for granted that neighbours in feature space share their true label and err independently. Pseudo-labels
    are a function of these very features: neighbours agree whether right or wrong, and T drifts to the identity.

    Sources: Zhu, Song and Liu, HOC, ICML 2021; He et al., DLC, IEEE TGRS 2024.

    Args:
        num_classes: Number of classes K; `NoiseTransitionMatrix` fills it in.
        num_points: Pixels drawn for an update, at least 3.
        feature_level: Which of the teacher's backbone outputs gives the points' features, 0 being the shallowest, -1
            the deepest.
        loss_weight: Weight of the consensus loss beside the regularisers, >= 0.
        learning_rate: First rate of Adam on the logits, > 0; None takes ``3 / total_iterations`` (the published 3e-4
            at 10 000 iterations), or 3e-4 where the matrix has no ``total_iterations``.
        betas: Adam's decay rates.
        eps: Added to the denominator of Adam's steps, > 0.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        num_points: int = 15000,
        feature_level: int = -1,
        loss_weight: float = 0.2,
        learning_rate: float | None = None,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(num_classes, loss_weight=loss_weight, learning_rate=learning_rate, betas=betas, eps=eps)
        if num_points < 3:
            raise ValueError(f'num_points is {num_points}: a point and two neighbours need at least 3')
        self.num_points = num_points
        self.feature_level = feature_level

    def default_rate(self, total_iterations: int | None) -> float:
        """The published rate, for as far a way in any number of iterations.

        Args:
            total_iterations: Iterations of the run, None where unknown.
        """
        return 3e-4 if total_iterations is None else 3 / total_iterations

    def draw(self, features: Sequence[Tensor], labels: Tensor, valid: Tensor) -> Points:
        """Draw ``num_points`` pixels of the target batch.

        Args:
            features: Outputs of the teacher's backbone, each (B, D, h, w), shallow to deep.
            labels: Pseudo-labels, shape (B, H, W).
            valid: Shape (B, H, W), bool; pixels that may be drawn.

        Returns:
            The points, see `draw_points`.

        Raises:
            UserError: If the backbone has no such output.
        """
        return draw_points(level_of(features, self.feature_level), labels, valid, self.num_points)

    def forward(self, points: Points | None, views: Views, initial: Tensor) -> ConsensusEvidence:
        """Count consensus patterns; with several processes the points of all of them.

        Args:
            points: Pixels with features and pseudo-labels. None, fewer than three, or points of one label or of one
                feature say nothing: they count as none, with a warning the first time.
            views: Not used here.
            initial: Not used here.

        Returns:
            The counts.
        """
        if points is None:
            points = Points(initial.new_zeros(0, 1), initial.new_zeros(0, dtype=torch.long))
        unit = F.normalize(points.features.float(), dim=1)
        problem = lack_of_evidence(unit, torch.bincount(points.labels, minlength=self.num_classes))
        if problem:
            warnings.warn(f'{problem}: an iteration says nothing about the transition matrix', stacklevel=2)
            sizes = [(self.num_classes,) * order for order in (1, 2, 3)]
            return ConsensusEvidence(pooled_counts(ConsensusCounts(*(unit.new_zeros(size) for size in sizes)), 0))
        counts = consensus_counts(points.labels, nearest_neighbours(unit), self.num_classes)
        return ConsensusEvidence(pooled_counts(counts, len(unit)))
