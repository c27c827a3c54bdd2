"""Cross-entropy of noisy labels, corrected forward by a transition matrix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.models.losses.utils import get_class_weight
from mmseg.registry import MODELS
from torch import Tensor, nn

from dlc_mmseg.functional.transition import REDUCTIONS, forward_corrected_cross_entropy


@MODELS.register_module()
class ForwardCorrectedCrossEntropyLoss(nn.Module):
    """Forward-corrected cross-entropy with label smoothing, from logits.

    ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1. Takes logits of the true class and noisy
    labels (Patrini et al., CVPR 2017; smoothing as in DLC, He et al., TGRS 2024); see
    `dlc_mmseg.functional.forward_corrected_cross_entropy` for the formula. Works as ``loss_decode`` of any
    MMSegmentation head with softmax logits, with T fixed in the config or T = I.

    Args:
        label_smoothing: s in [0, 1]; takes effect where ``ce_weight`` is below 1 (DLC: 0.02).
        ce_weight: Share of the loss that is not smoothed, in [0, 1] (DLC: 0.8).
        class_weight: Weight of the pixels labelled with each class, K numbers >= 0, or a file that
            `mmengine.fileio.load` reads them from; the mean is not divided by it. None weighs all classes the same.
        reduction: 'mean' over all pixels, 'valid_mean' over pixels not ignored, 'sum' or 'none'.
        loss_weight: Factor on the result, >= 0.
        loss_name: Name in the log; MMEngine adds it to the total if it contains 'loss'.
        transition: Fixed T as nested lists (K, K), used when `forward` is given none.

    Raises:
        ValueError: If an argument is out of range or the rows of ``transition`` do not sum to 1.
    """

    transition: Tensor | None
    class_weight: Tensor | None

    def __init__(
        self,
        *,
        label_smoothing: float = 0.0,
        ce_weight: float = 1.0,
        class_weight: Sequence[float] | str | None = None,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_forward_corrected',
        transition: Sequence[Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (('label_smoothing', label_smoothing), ('ce_weight', ce_weight)):
            if not 0 <= value <= 1:
                raise ValueError(f'{name} is {value}: choose a number from 0 to 1')
        if reduction not in REDUCTIONS:
            raise ValueError(f'reduction is {reduction!r}: choose one of {REDUCTIONS}')
        if loss_weight < 0:
            raise ValueError(f'loss_weight is {loss_weight}: choose a number >= 0')
        self.label_smoothing = label_smoothing
        self.ce_weight = ce_weight
        self.reduction = reduction
        self.loss_weight = loss_weight
        self._loss_name = loss_name
        weights = None if class_weight is None else _class_weight(class_weight)
        self.register_buffer('class_weight', weights, persistent=False)
        fixed = None if transition is None else _fixed_transition(transition)
        self.register_buffer('transition', fixed, persistent=False)

    @property
    def loss_name(self) -> str:
        """Name of the loss in the log."""
        return self._loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        transition: Tensor | None = None,
        *,
        transition_mask: Tensor | None = None,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Loss of a batch.

        Args:
            logits: Scores of the true class, (B, K, H, W).
            labels: Noisy labels, (B, H, W), 0..K-1 or ``ignore_index``.
            transition: T, (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``; None takes the
                configured one, or T = I.
            transition_mask: Boolean (B, H, W); where False T = I.
            weight: Weight of each pixel, (B, H, W).
            ignore_index: Label value that contributes 0.
            reduction_override: Replaces the configured reduction, as MMSegmentation's pixel samplers ask.

        Returns:
            Weighted scalar, or (B, H, W) for 'none'.
        """
        loss = forward_corrected_cross_entropy(
            logits,
            labels,
            self.transition if transition is None else transition,
            transition_mask=transition_mask,
            weight=weight,
            class_weight=self.class_weight,
            label_smoothing=self.label_smoothing,
            ce_weight=self.ce_weight,
            ignore_index=ignore_index,
            reduction=self.reduction if reduction_override is None else reduction_override,
        )
        return self.loss_weight * loss


def _class_weight(given: Sequence[float] | str) -> Tensor:
    weights = torch.as_tensor(get_class_weight(given), dtype=torch.float32)
    if weights.dim() != 1 or not bool((weights >= 0).all()) or not bool(weights.isfinite().all()):
        raise ValueError(f'class_weight is {given}: give a number >= 0 for each class')
    return weights


def _fixed_transition(rows: Sequence[Sequence[float]]) -> Tensor:
    if len({len(row) for row in rows} | {len(rows)}) != 1:
        raise ValueError(f'transition has rows of lengths {[len(row) for row in rows]}: give K rows of K numbers')
    matrix = torch.tensor(rows, dtype=torch.float64)
    if not bool((matrix >= 0).all()) or not bool(((matrix.sum(dim=1) - 1).abs() < 1e-3).all()):
        raise ValueError(
            f'rows of transition sum to {[round(float(total), 4) for total in matrix.sum(dim=1)]}: '
            'row i holds P(pseudo-label | true label = i), numbers >= 0 that sum to 1'
        )
    return (matrix / matrix.sum(dim=1, keepdim=True)).float()
