"""Memory format of the features that decode heads receive."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

FeatureFormat = Literal['auto', 'contiguous', 'channels_last', 'keep']
"""How features lie in memory; ``keep`` leaves them as the backbone gives them, `ConvertFeatures` explains ``auto``."""


class ConvertFeatures:
    """Forward hook of a backbone that lays its outputs out in memory; their values stay.

    Transformers turn tokens to maps by a view (`nlc_to_nchw`), which is channels-last: the whole head then runs in that
    format, and depthwise convolutions with dilation are several times slower in it on a CPU
    (``benchmarks/training_step.py`` compares). ``auto`` therefore means contiguous on a CPU. Elsewhere it keeps what
    comes: no GPU was at hand to measure, and tensor cores often want channels last.

    Args:
        memory_format: See `FeatureFormat`.

    Raises:
        ValueError: If there is no such format.
    """

    def __init__(self, memory_format: FeatureFormat) -> None:
        if memory_format not in get_args(FeatureFormat):
            raise ValueError(f'memory_format is {memory_format!r}: choose one of {get_args(FeatureFormat)}')
        self.memory_format = memory_format

    def __call__(self, _module: nn.Module, _inputs: object, output: Any) -> Any:
        """What the backbone returns, in the chosen format."""
        if isinstance(output, (list, tuple)):
            return type(output)(self._converted(level) for level in output)
        return self._converted(output)

    def _converted(self, level: Any) -> Any:
        if not isinstance(level, Tensor) or level.dim() != 4 or self.memory_format == 'keep':
            return level
        if self.memory_format == 'auto' and level.device.type != 'cpu':
            return level
        if self.memory_format == 'channels_last':
            return level.contiguous(memory_format=torch.channels_last)
        return level.contiguous()


def convert_features(network: EncoderDecoder, memory_format: FeatureFormat) -> None:
    """Lay the features of a segmentor's backbone out in memory before its neck and heads see them.

    Args:
        network: The segmentor, changed in place; copies of it do the same.
        memory_format: See `FeatureFormat`.
    """
    network.backbone.register_forward_hook(ConvertFeatures(memory_format))
