"""Segmentors: HRDA, mean teacher (DACS + MIC) and DLC."""

from dlc_mmseg.models.segmentors.dlc import DLCSegmentor
from dlc_mmseg.models.segmentors.hrda_encoder_decoder import HRDAEncoderDecoder
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor

__all__ = ['DLCSegmentor', 'HRDAEncoderDecoder', 'MeanTeacherSegmentor']
