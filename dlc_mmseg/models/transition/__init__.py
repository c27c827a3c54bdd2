"""The noise transition matrix as a module: its state, what it learns from, and the views it is shown."""

from dlc_mmseg.models.transition.matrix import NoiseTransitionMatrix

__all__ = ['NoiseTransitionMatrix']
