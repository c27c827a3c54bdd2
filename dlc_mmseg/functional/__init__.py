"""Pure maths of the method: tensors and arrays in, tensors and arrays out."""

from dlc_mmseg.functional.class_mix import class_mix_mask, mix
from dlc_mmseg.functional.masking import block_mask
from dlc_mmseg.functional.pseudo_label import PseudoLabels, pseudo_labels
from dlc_mmseg.functional.transition import (
    convexity_distance,
    convexity_weights,
    forward_corrected_cross_entropy,
    log_volume,
)
from dlc_mmseg.functional.windows import Box, random_box, sliding_windows

__all__ = [
    'Box',
    'PseudoLabels',
    'block_mask',
    'class_mix_mask',
    'convexity_distance',
    'convexity_weights',
    'forward_corrected_cross_entropy',
    'log_volume',
    'mix',
    'pseudo_labels',
    'random_box',
    'sliding_windows',
]
