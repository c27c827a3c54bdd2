"""Losses registered for any MMSegmentation config."""

from dlc_mmseg.models.losses.forward_corrected import ForwardCorrectedCrossEntropyLoss
from dlc_mmseg.models.losses.transition_convexity import TransitionConvexityLoss
from dlc_mmseg.models.losses.transition_volume import TransitionVolumeLoss

__all__ = ['ForwardCorrectedCrossEntropyLoss', 'TransitionConvexityLoss', 'TransitionVolumeLoss']
