"""Volume of the transition matrix as a loss."""

from __future__ import annotations

from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.functional.transition import log_volume


@MODELS.register_module()
class TransitionVolumeLoss(nn.Module):
    """``log |det T|``, to be minimised (VolMinNet, Li et al., ICML 2021).

    Among the matrices that explain the noisy labels the one of smallest volume is the true one. ``T[i, j] =
    P(pseudo-label = j | true label = i)``, rows sum to 1. An infinite reward waits at singular matrices: a T that
    comes near one, as early in training when the teacher confuses most classes, would not get away again. A ``ridge``
    makes the reward finite.

    Args:
        loss_weight: Factor on the result, >= 0 (DLC: 0.1).
        ridge: See `dlc_mmseg.functional.log_volume`, >= 0 (published: 0).

    Raises:
        ValueError: If ``loss_weight`` or ``ridge`` is negative.
    """

    def __init__(self, *, loss_weight: float = 1.0, ridge: float = 0.0) -> None:
        super().__init__()
        if loss_weight < 0:
            raise ValueError(f'loss_weight is {loss_weight}: choose a number >= 0')
        if ridge < 0:
            raise ValueError(f'ridge is {ridge}: choose a number >= 0')
        self.loss_weight = loss_weight
        self.ridge = ridge

    def forward(self, transition: Tensor) -> Tensor:
        """Weighted logarithm of the volume.

        Args:
            transition: T, (K, K), or rectangular.

        Returns:
            Scalar; zero gradient where T is singular and there is no ridge.
        """
        return self.loss_weight * log_volume(transition, ridge=self.ridge)
