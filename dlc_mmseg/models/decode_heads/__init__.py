"""Decode heads: DAFormer and HRDA."""

from dlc_mmseg.models.decode_heads.daformer_head import DAFormerHead, SeparableASPPFusion
from dlc_mmseg.models.decode_heads.detail_canvas import DetailCanvas, stitch, to_grid
from dlc_mmseg.models.decode_heads.hrda_head import HRDAHead

__all__ = ['DAFormerHead', 'DetailCanvas', 'HRDAHead', 'SeparableASPPFusion', 'stitch', 'to_grid']
