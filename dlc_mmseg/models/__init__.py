"""Networks, losses and the adaptation segmentors."""

from dlc_mmseg.models.augmentations import ClassMix, MaskedImageConsistency, StrongAugmentation
from dlc_mmseg.models.backbones import *  # noqa: F403
from dlc_mmseg.models.branchwise_parallel import BranchwiseDistributedDataParallel
from dlc_mmseg.models.data_preprocessor import PairedDomainDataPreprocessor
from dlc_mmseg.models.decode_heads import *  # noqa: F403
from dlc_mmseg.models.feature_distance import FeatureDistance
from dlc_mmseg.models.losses import *  # noqa: F403
from dlc_mmseg.models.segmentors import *  # noqa: F403
from dlc_mmseg.models.transition import ConfusionEstimator, ConsensusEstimator, NoiseTransitionMatrix

__all__ = [
    'BranchwiseDistributedDataParallel',
    'ClassMix',
    'ConfusionEstimator',
    'ConsensusEstimator',
    'FeatureDistance',
    'MaskedImageConsistency',
    'NoiseTransitionMatrix',
    'PairedDomainDataPreprocessor',
    'StrongAugmentation',
]
