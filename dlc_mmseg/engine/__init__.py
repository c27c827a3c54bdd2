"""Hooks for MMEngine's Runner."""

from dlc_mmseg.engine.band_statistics_hook import BandStatisticsHook
from dlc_mmseg.engine.class_iou_metric import ClassIoUMetric
from dlc_mmseg.engine.exact_resume_hook import ExactResumeHook
from dlc_mmseg.engine.label_free_metric import LabelFreeMetric
from dlc_mmseg.engine.log_lines import ReadableLogProcessor
from dlc_mmseg.engine.prediction_picture_hook import PredictionPictureHook
from dlc_mmseg.engine.preflight_hook import PreflightHook, PreflightRunner
from dlc_mmseg.engine.pseudo_label_hook import PseudoLabelHook
from dlc_mmseg.engine.pseudo_label_weight_hook import PseudoLabelWeightHook
from dlc_mmseg.engine.run_summary_hook import RunSummaryHook
from dlc_mmseg.engine.self_training_watch_hook import SelfTrainingWatchHook
from dlc_mmseg.engine.student_optimizer import StudentOptimWrapperConstructor
from dlc_mmseg.engine.transition_hook import TransitionMatrixHook

__all__ = [
    'BandStatisticsHook',
    'ClassIoUMetric',
    'ExactResumeHook',
    'LabelFreeMetric',
    'PredictionPictureHook',
    'PreflightHook',
    'PreflightRunner',
    'PseudoLabelHook',
    'PseudoLabelWeightHook',
    'ReadableLogProcessor',
    'RunSummaryHook',
    'SelfTrainingWatchHook',
    'StudentOptimWrapperConstructor',
    'TransitionMatrixHook',
]
