"""What the scores that a segmentor stores beside its labels mean."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from mmseg.models.decode_heads import Mask2FormerHead, MaskFormerHead, SideAdapterCLIPHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.losses import CrossEntropyLoss
from mmseg.models.segmentors.base import BaseSegmentor
from torch import Tensor, nn

from dlc_mmseg.models.segmentors.head_logits import ProvidesTrainingLogits
from dlc_mmseg.models.segmentors.wrapping import WrappingSegmentor

Scores = Literal['softmax', 'sigmoid', 'masks', 'unknown']
"""Logits of a softmax or of sigmoids; sums over the masks of mask classification, >= 0; something else."""


def stored_scores(model: BaseSegmentor) -> Scores:
    """What a segmentor stores as ``seg_logits``, by its last decode head and what that is trained with.

    Args:
        model: A plain segmentor, or one of ours around it.

    Returns:
        The kind of scores. Of a model without a decode head, that of a softmax is taken for granted. Cross entropy
        decides where there are other losses beside it.
    """
    network = model.inference_network if isinstance(model, WrappingSegmentor) else model
    if not network.with_decode_head or isinstance(network, ProvidesTrainingLogits):
        return 'softmax'
    head = _modules(network.get_submodule('decode_head'))[-1]
    if isinstance(head, Mask2FormerHead | MaskFormerHead | SideAdapterCLIPHead):
        return 'masks'
    if not isinstance(head, BaseDecodeHead) or type(head).predict_by_feat is not BaseDecodeHead.predict_by_feat:
        return 'unknown'
    losses = _modules(head.get_submodule('loss_decode'))
    deciding = [loss for loss in losses if isinstance(loss, CrossEntropyLoss)] or losses
    sigmoids = {bool(getattr(loss, 'use_sigmoid', False)) for loss in deciding}
    if len(sigmoids) > 1:
        return 'unknown'
    return 'sigmoid' if True in sigmoids else 'softmax'


def probabilities(scores: Tensor, kind: Scores) -> Tensor:
    """P(class) that stored scores stand for.

    Args:
        scores: Shape (K, H, W); or (1, H, W), as which MMSegmentation stores the probability of class 1 of two.
        kind: What they are.

    Returns:
        Shape (K, H, W), float32, sums to 1 over the classes; NaN where the kind is unknown.
    """
    scores = scores.float()
    if len(scores) == 1:
        return torch.cat([1 - scores, scores])
    if kind == 'softmax':
        return scores.softmax(dim=0)
    if kind == 'unknown':
        return torch.full_like(scores, torch.nan)
    return F.normalize(scores.sigmoid() if kind == 'sigmoid' else scores, p=1, dim=0)


def _modules(module: nn.Module) -> list[nn.Module]:
    return list(module) if isinstance(module, nn.ModuleList) else [module]
