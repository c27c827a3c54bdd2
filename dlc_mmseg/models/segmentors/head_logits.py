"""Logits of every head of a segmentor in training, from which losses on pseudo-labels are computed."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import CascadeEncoderDecoder, EncoderDecoder
from torch import Tensor, nn

from dlc_mmseg.functional.windows import Box
from dlc_mmseg.models.decode_heads.hrda_head import HRDAHead


class HeadLogits(NamedTuple):
    """Logits of one head for one batch.

    Attributes:
        name: Head name as MMSegmentation logs it: ``decode``, ``aux``, ``aux_0``, ...
        logits: Shape (B, K, h, w), at the head's own resolution.
        loss_weight: Weight of this head in the sum of losses.
        align_corners: How the head's logits are resized to the labels.
        box: Region of the input that the logits cover; None means all of it.
    """

    name: str
    logits: Tensor
    loss_weight: float
    align_corners: bool
    box: Box | None = None

    def resized(self, size: tuple[int, int]) -> Tensor:
        """Logits at the pixels they are compared with.

        Args:
            size: Height and width in pixels of the *input* image.

        Returns:
            Shape (B, K, H, W); with a box, H and W are the box's.
        """
        target = size if self.box is None else (self.box.height, self.box.width)
        if tuple(self.logits.shape[-2:]) == target:
            return self.logits
        return F.interpolate(self.logits, target, mode='bilinear', align_corners=self.align_corners)

    def cropped(self, pixels: Tensor) -> Tensor:
        """The part of a per-pixel map of the input, shape (B, H, W), that the logits cover."""
        if self.box is None:
            return pixels
        rows, columns = self.box.slices
        return pixels[:, rows, columns]


@runtime_checkable
class ProvidesTrainingLogits(Protocol):
    """A segmentor that lists the logits of its heads itself (HRDA: fused and detail crop)."""

    def training_logits(self, inputs: Tensor) -> list[HeadLogits]:
        """Logits of every head for a batch of images, shape (B, C, H, W)."""
        ...


def training_logits(segmentor: EncoderDecoder, inputs: Tensor) -> list[HeadLogits]:
    """Logits of the decode heads and auxiliary heads of a segmentor, with gradients.

    Args:
        segmentor: A segmentor that `check_segmentor` accepts.
        inputs: Normalised images, shape (B, C, H, W).

    Returns:
        One entry for each head, decode heads first.
    """
    if isinstance(segmentor, ProvidesTrainingLogits):
        return segmentor.training_logits(inputs)
    features = segmentor.extract_feat(inputs)
    outputs = _decode_outputs(segmentor, features)
    if segmentor.with_auxiliary_head:
        for name, head in _named_heads(segmentor.get_submodule('auxiliary_head'), 'aux'):
            outputs.append(_head_logits(name, head, head.forward(features)))
    return outputs


def check_segmentor(segmentor: nn.Module) -> int:
    """Make sure that a segmentor can be trained on pseudo-labels here.

    Args:
        segmentor: The segmentor as built from its config.

    Returns:
        Number of classes K.

    Raises:
        ValueError: If it is no EncoderDecoder, or a head does not give dense softmax logits over the same
            K >= 2 classes, with the reason.
    """
    name = type(segmentor).__name__
    if not isinstance(segmentor, EncoderDecoder):
        raise ValueError(f'segmentor: {name} is no EncoderDecoder; wrap an EncoderDecoder or a subclass of it')
    num_classes = int(segmentor.num_classes)
    if isinstance(segmentor.decode_head, HRDAHead):
        heads = _named_heads(segmentor.decode_head.head, 'decode_head.head')
    elif isinstance(segmentor, ProvidesTrainingLogits) and num_classes >= 2:
        return num_classes
    else:
        heads = _named_heads(segmentor.decode_head, 'decode_head')
    if segmentor.with_auxiliary_head:
        heads += _named_heads(segmentor.get_submodule('auxiliary_head'), 'auxiliary_head')
    for head_name, head in heads:
        reason = _refusal(head, num_classes)
        if reason:
            raise ValueError(
                f'segmentor.{head_name}: {type(head).__name__} {reason}; '
                f'choose a head with dense softmax logits over the same K >= 2 classes'
            )
    return num_classes


def _refusal(head: nn.Module, num_classes: int) -> str | None:
    """Why a head cannot be trained on pseudo-labels; None if it can."""
    if not isinstance(head, BaseDecodeHead):
        return 'gives no dense logits (it is no BaseDecodeHead)'
    if type(head).loss_by_feat is not BaseDecodeHead.loss_by_feat:
        return 'computes a loss of its own from more than one dense map of logits'
    if any(getattr(loss, 'use_sigmoid', False) for loss in _losses(head)):
        return 'is trained with a sigmoid, not a softmax'
    if head.out_channels != head.num_classes or head.num_classes < 2:
        return f'has {head.out_channels} output channels for {head.num_classes} classes'
    if head.num_classes != num_classes:
        return f'has {head.num_classes} classes where the last decode head has {num_classes}'
    return None


def _losses(head: nn.Module) -> list[nn.Module]:
    losses = head.get_submodule('loss_decode')
    return list(losses) if isinstance(losses, nn.ModuleList) else [losses]


def _named_heads(head: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    if isinstance(head, nn.ModuleList):
        return [(f'{name}_{index}', part) for index, part in enumerate(head)]
    return [(name, head)]


def _head_logits(name: str, head: nn.Module, logits: Tensor) -> HeadLogits:
    weight = sum(float(getattr(loss, 'loss_weight', 1.0)) for loss in _losses(head))
    return HeadLogits(name, logits, weight, bool(head.align_corners))


def _decode_outputs(segmentor: EncoderDecoder, features: list[Tensor]) -> list[HeadLogits]:
    heads = _named_heads(segmentor.decode_head, 'decode')
    if not isinstance(segmentor, CascadeEncoderDecoder):
        return [_head_logits(*heads[0], heads[0][1].forward(features))]
    logits = heads[0][1].forward(features)
    outputs = [_head_logits(*heads[0], logits)]
    for name, head in heads[1:]:
        logits = head.forward(features, logits)
        outputs.append(_head_logits(name, head, logits))
    return outputs
