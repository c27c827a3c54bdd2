"""HRDA decode head: one head for both scales, fused by a scale attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.models.decode_heads.detail_canvas import DetailCanvas, to_grid


class ContextView(NamedTuple):
    """What the head makes of the context.

    Attributes:
        logits: Shape (B, K, h, w), of the whole image at the context scale.
        attention: Weight of the detail logits in [0, 1], broadcastable to ``logits``.
    """

    logits: Tensor
    attention: Tensor


@BaseDecodeHead.register  # offers what callers read from a decode head, as its inner head has it
@MODELS.register_module()
class HRDAHead(BaseModule):
    """Fuses context and detail logits of one shared head.

    Source: Hoyer et al., HRDA, ECCV 2022, section "Multi-Resolution Fusion":
    ``logits = up(a) * detail + up((1 - a) * context)`` with ``a = sigmoid(attention(context features))``,
    0 outside the part of the image that the detail branch has seen.

    Args:
        head: Config of the decode head that both scales share; any head with dense logits.
        scale_attention: Config of the attention's head: K classes give a class-wise attention, one class
            a shared one.
        fixed_attention: Constant attention in [0, 1] in place of ``scale_attention``: 0 is the context
            alone, 1 the detail alone.
        init_cfg: Initialisation config.

    Raises:
        ValueError: If not exactly one of the two attentions is given, or it does not fit the head.
    """

    def __init__(
        self,
        head: dict[str, Any],
        scale_attention: dict[str, Any] | None = None,
        fixed_attention: float | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if (scale_attention is None) == (fixed_attention is None):
            raise ValueError(
                f'give one of scale_attention (a head config) and fixed_attention (a number in [0, 1]), '
                f'got {scale_attention} and {fixed_attention}'
            )
        if fixed_attention is not None and not 0 <= fixed_attention <= 1:
            raise ValueError(f'fixed_attention must lie in [0, 1], got {fixed_attention}')
        self.head: BaseDecodeHead = MODELS.build(head)
        self.scale_attention: BaseDecodeHead | None = None
        if scale_attention is not None:
            self.scale_attention = MODELS.build(scale_attention)
        self.fixed_attention = fixed_attention
        if self.scale_attention is not None and self.scale_attention.num_classes not in (1, self.num_classes):
            raise ValueError(
                f'scale_attention has {self.scale_attention.num_classes} classes: set num_classes to 1 '
                f'(shared) or to the {self.num_classes} of the head (class-wise)'
            )

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return int(self.head.num_classes)

    @property
    def out_channels(self) -> int:
        """Channels of the logits."""
        return int(self.head.out_channels)

    @property
    def align_corners(self) -> bool:
        """How logits are resized."""
        return bool(self.head.align_corners)

    @property
    def ignore_index(self) -> int:
        """Label that takes no part in the loss."""
        return int(self.head.ignore_index)

    @property
    def threshold(self) -> float | None:
        """Probability above which a one-channel head says yes."""
        threshold: float | None = self.head.threshold
        return threshold

    @property
    def loss_decode(self) -> nn.Module:
        """Loss or losses of the shared head."""
        loss: nn.Module = self.head.loss_decode
        return loss

    def view_context(self, features: Sequence[Tensor]) -> ContextView:
        """Logits and attention of the context.

        To be called before `head` sees details: running statistics of its batch norms weigh the later call more, and
        the original runs the context first.

        Args:
            features: Backbone features of the whole image at the context scale.

        Returns:
            Both on the grid of the context.
        """
        logits = self.head(features)
        if self.scale_attention is None:
            return ContextView(logits, logits.new_full((1, 1, *logits.shape[-2:]), self.fixed_attention or 0.0))
        return ContextView(logits, self.scale_attention(features).sigmoid())

    def forward(self, context: ContextView, detail: DetailCanvas) -> Tensor:
        """Fused logits on the grid of the detail logits.

        Args:
            context: As from `view_context`.
            detail: Detail logits of `head`, with the part of the image they cover.

        Returns:
            Shape (B, K, h, w), h and w as in ``detail.logits``.
        """
        logits, attention = context
        height, width = logits.shape[-2:]
        if (detail.box.height, detail.box.width) != detail.size:
            cells = to_grid(detail.box, detail.size, (height, width))
            visible = logits.new_zeros((1, 1, height, width))
            rows, columns = cells.slices
            visible[:, :, rows, columns] = 1
            attention = attention * visible
        fused: Tensor = self._resize(attention, detail) * detail.logits
        return fused + self._resize((1 - attention) * logits, detail)

    def _resize(self, maps: Tensor, detail: DetailCanvas) -> Tensor:
        size = detail.logits.shape[-2:]
        return F.interpolate(maps, size, mode='bilinear', align_corners=self.align_corners)
