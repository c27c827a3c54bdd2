"""Pure maths of the method: tensors and arrays in, tensors and arrays out."""

from dlc_mmseg.functional.class_mix import class_mix_mask, mix
from dlc_mmseg.functional.confusion import (
    confusion_counts,
    expected_confusion,
    precision_matrix,
    transition_error,
    true_transition,
)
from dlc_mmseg.functional.consensus import (
    ConsensusCounts,
    consensus_counts,
    consensus_estimate,
    consensus_loss,
    consensus_model,
    nearest_neighbours,
)
from dlc_mmseg.functional.latent_class import (
    LabelPatterns,
    LatentClassFit,
    composition_posterior,
    label_patterns,
    likelihood_estimate,
    log_likelihood,
    own_label_step,
)
from dlc_mmseg.functional.masking import block_mask
from dlc_mmseg.functional.neighbour_likelihood import fit_neighbour_labels, meeting_pairs
from dlc_mmseg.functional.pseudo_label import PseudoLabels, pseudo_labels
from dlc_mmseg.functional.transition import (
    convexity_distance,
    convexity_weights,
    forward_corrected_cross_entropy,
    log_volume,
)
from dlc_mmseg.functional.transition_estimation import (
    TransitionEstimate,
    estimate_transition_matrix,
    initial_logits,
)
from dlc_mmseg.functional.window_canvas import WindowCanvas
from dlc_mmseg.functional.windows import Box, random_box, sliding_windows

__all__ = [
    'Box',
    'ConsensusCounts',
    'LabelPatterns',
    'LatentClassFit',
    'PseudoLabels',
    'TransitionEstimate',
    'WindowCanvas',
    'block_mask',
    'class_mix_mask',
    'composition_posterior',
    'confusion_counts',
    'consensus_counts',
    'consensus_estimate',
    'consensus_loss',
    'consensus_model',
    'convexity_distance',
    'convexity_weights',
    'estimate_transition_matrix',
    'expected_confusion',
    'fit_neighbour_labels',
    'forward_corrected_cross_entropy',
    'initial_logits',
    'label_patterns',
    'likelihood_estimate',
    'log_likelihood',
    'log_volume',
    'meeting_pairs',
    'mix',
    'nearest_neighbours',
    'own_label_step',
    'precision_matrix',
    'pseudo_labels',
    'random_box',
    'sliding_windows',
    'transition_error',
    'true_transition',
]
