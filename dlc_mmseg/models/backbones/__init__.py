"""Backbones: the Mix Transformer with its authors' epsilons."""

from dlc_mmseg.models.backbones.mix_transformer import LegacyMixVisionTransformer

__all__ = ['LegacyMixVisionTransformer']
