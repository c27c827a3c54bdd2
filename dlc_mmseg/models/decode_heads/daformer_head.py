"""DAFormer decode head: embeds four feature levels and fuses them with a depthwise-separable ASPP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.decode_heads.sep_aspp_head import DepthwiseSeparableASPPModule
from mmseg.registry import MODELS
from torch import Tensor, nn

_BN = {'type': 'BN', 'requires_grad': True}
_RELU = {'type': 'ReLU'}
_CROSS_ENTROPY = {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0}
_NORMAL_CLASSIFIER = {'type': 'Normal', 'std': 0.01, 'override': {'name': 'conv_seg'}}


class SeparableASPPFusion(BaseModule):
    """Depthwise-separable atrous pyramid without image pooling, followed by a 3x3 convolution.

    Args:
        in_channels: Channels of the concatenated, embedded levels.
        channels: Channels of every branch and of the output.
        dilations: One branch each; dilation 1 is a plain 1x1 convolution.
        norm_cfg: Normalisation of every convolution.
        act_cfg: Activation of every convolution.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        *,
        dilations: Sequence[int],
        norm_cfg: dict[str, Any],
        act_cfg: dict[str, Any],
    ) -> None:
        super().__init__()
        self.aspp_modules = DepthwiseSeparableASPPModule(
            dilations=tuple(dilations),
            in_channels=in_channels,
            channels=channels,
            conv_cfg=None,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.bottleneck = ConvModule(
            len(dilations) * channels, channels, 3, padding=1, norm_cfg=norm_cfg, act_cfg=act_cfg
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, in_channels, h, w) to (B, channels, h, w)."""
        fused: Tensor = self.bottleneck(torch.cat(self.aspp_modules(features), dim=1))
        return fused


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Context-aware fusion of all feature levels (Hoyer et al., DAFormer, CVPR 2022, section 3.2).

    Every level is embedded by one linear layer per pixel, upsampled to the finest level and concatenated. The
    concatenation is fused and classified. HRDA's scale attention is the same head with ``fusion='conv'``.

    Args:
        in_channels: Channels of the levels, finest first.
        channels: Channels after the fusion.
        num_classes: Number of classes K; 1 gives a single map (shared scale attention).
        embed_dims: Channels of an embedded level.
        fusion: ``aspp`` for the depthwise-separable pyramid, ``conv`` for one 1x1 convolution.
        dilations: Dilations of the pyramid's branches.
        in_index: Which backbone outputs are taken; None takes the first ``len(in_channels)``.
        dropout_ratio: Share of channels dropped before the classifier, in [0, 1).
        norm_cfg: Normalisation of the fusion, e.g. ``dict(type='SyncBN')`` on several GPUs.
        act_cfg: Activation of the fusion.
        loss_decode: One loss config or several.
        ignore_index: Label that takes no part in the loss.
        sampler: Pixel sampler config, as in any MMSegmentation head.
        align_corners: How maps are resized.
        init_cfg: Initialisation; the default draws the classifier from N(0, 0.01^2).

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        *,
        num_classes: int,
        embed_dims: int = 256,
        fusion: Literal['aspp', 'conv'] = 'aspp',
        dilations: Sequence[int] = (1, 6, 12, 18),
        in_index: Sequence[int] | None = None,
        dropout_ratio: float = 0.1,
        norm_cfg: dict[str, Any] = _BN,
        act_cfg: dict[str, Any] = _RELU,
        loss_decode: dict[str, Any] | Sequence[dict[str, Any]] = _CROSS_ENTROPY,
        ignore_index: int = 255,
        sampler: dict[str, Any] | None = None,
        align_corners: bool = False,
        init_cfg: dict[str, Any] | None = _NORMAL_CLASSIFIER,
    ) -> None:
        in_index = list(range(len(in_channels))) if in_index is None else list(in_index)
        _check(in_channels, in_index, channels, num_classes, embed_dims, fusion, dilations, dropout_ratio)
        super().__init__(  # type: ignore[no-untyped-call]
            list(in_channels),
            channels,
            num_classes=num_classes,
            out_channels=num_classes,
            threshold=0.5 if num_classes == 1 else None,
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            in_index=in_index,
            input_transform='multiple_select',
            loss_decode=loss_decode,
            ignore_index=ignore_index,
            sampler=sampler,
            align_corners=align_corners,
            init_cfg=init_cfg,
        )
        self.embed_layers = nn.ModuleList(nn.Conv2d(width, embed_dims, 1) for width in in_channels)
        width = embed_dims * len(in_channels)
        self.fuse_layer: nn.Module
        if fusion == 'aspp':
            self.fuse_layer = SeparableASPPFusion(
                width, channels, dilations=dilations, norm_cfg=norm_cfg, act_cfg=act_cfg
            )
        else:
            self.fuse_layer = ConvModule(width, channels, 1, norm_cfg=norm_cfg, act_cfg=act_cfg)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits at the resolution of the finest level taken.

        Args:
            inputs: Backbone outputs, each (B, C_i, h_i, w_i).

        Returns:
            Shape (B, K, h, w), where h and w are those of the first level taken.
        """
        levels: list[Tensor] = self._transform_inputs(inputs)  # type: ignore[no-untyped-call]
        size = levels[0].shape[-2:]
        # no name holds a level once it is part of the concatenation: without gradients its memory is free by then
        fused = self.fuse_layer(
            torch.cat([self._embedded(place, level, size) for place, level in enumerate(levels)], 1)
        )
        logits: Tensor = self.cls_seg(fused)  # type: ignore[no-untyped-call]
        return logits

    def _embedded(self, place: int, level: Tensor, size: torch.Size) -> Tensor:
        embedded: Tensor = self.embed_layers[place](level)
        if embedded.shape[-2:] == size:
            return embedded
        return F.interpolate(embedded, size, mode='bilinear', align_corners=self.align_corners)


def _check(
    in_channels: Sequence[int],
    in_index: Sequence[int],
    channels: int,
    num_classes: int,
    embed_dims: int,
    fusion: str,
    dilations: Sequence[int],
    dropout_ratio: float,
) -> None:
    if not in_channels or len(in_channels) != len(in_index):
        raise ValueError(
            f'in_channels {list(in_channels)} and in_index {list(in_index)} must list the same levels, at least one'
        )
    for name, value in (('channels', channels), ('num_classes', num_classes), ('embed_dims', embed_dims)):
        if value < 1:
            raise ValueError(f'{name} must be at least 1, got {value}')
    if fusion not in ('aspp', 'conv'):
        raise ValueError(f"fusion must be 'aspp' or 'conv', got {fusion!r}")
    if not dilations or min(dilations) < 1:
        raise ValueError(f'dilations must be a non-empty list of integers >= 1, got {list(dilations)}')
    if not 0 <= dropout_ratio < 1:
        raise ValueError(f'dropout_ratio must lie in [0, 1), got {dropout_ratio}')
