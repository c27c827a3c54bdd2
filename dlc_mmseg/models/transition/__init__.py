"""The noise transition matrix as a module: its state, its estimators, and the views they are shown."""

from dlc_mmseg.models.transition.confusion_estimator import ConfusionEstimator
from dlc_mmseg.models.transition.consensus_estimator import ConsensusEstimator
from dlc_mmseg.models.transition.estimator import TransitionEstimator
from dlc_mmseg.models.transition.matrix import NoiseTransitionMatrix

__all__ = ['ConfusionEstimator', 'ConsensusEstimator', 'NoiseTransitionMatrix', 'TransitionEstimator']
