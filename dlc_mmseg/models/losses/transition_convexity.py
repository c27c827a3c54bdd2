"""Convexity of the transition matrix as a loss."""

from __future__ import annotations

from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.functional.transition import convexity_distance


@MODELS.register_module()
class TransitionConvexityLoss(nn.Module):
    """Minus the squared distance of each row of T to the hull of the others, to be minimised.

    No row of T should be a mixture of other rows (SimT, Guo et al., CVPR 2022). ``T[i, j] =
    P(pseudo-label = j | true label = i)``, rows sum to 1.

    Args:
        loss_weight: Factor on the result, >= 0 (DLC: 0.1).

    Raises:
        ValueError: If ``loss_weight`` is negative.
    """

    def __init__(self, *, loss_weight: float = 1.0) -> None:
        super().__init__()
        if loss_weight < 0:
            raise ValueError(f'loss_weight is {loss_weight}: choose a number >= 0')
        self.loss_weight = loss_weight

    def forward(self, transition: Tensor) -> Tensor:
        """Weighted negative distance.

        Args:
            transition: T, (K, K), K >= 2.

        Returns:
            Scalar <= 0.
        """
        return -self.loss_weight * convexity_distance(transition)
