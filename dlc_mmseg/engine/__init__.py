"""Hooks for MMEngine's Runner."""

from dlc_mmseg.engine.pseudo_label_hook import PseudoLabelHook
from dlc_mmseg.engine.transition_hook import TransitionMatrixHook

__all__ = ['PseudoLabelHook', 'TransitionMatrixHook']
