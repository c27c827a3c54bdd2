"""Segmentors: HRDA, mean teacher (DACS + MIC) and DLC; statistics of the teacher's batch norms."""

from dlc_mmseg.models.segmentors.class_matched_statistics import ClassMatchedStatistics
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor
from dlc_mmseg.models.segmentors.hrda_encoder_decoder import HRDAEncoderDecoder
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor
from dlc_mmseg.models.segmentors.teacher_statistics import BatchStatistics, StudentStatistics

__all__ = [
    'BatchStatistics',
    'ClassMatchedStatistics',
    'DLCSegmentor',
    'HRDAEncoderDecoder',
    'MeanTeacherSegmentor',
    'StudentStatistics',
]
