"""Distance between the student's features and those of the network it started from (DAFormer)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class FeatureDistance(nn.Module):
    """Keeps features of chosen classes near their ImageNet starting point.

    The frozen network is a copy of the student's backbone at the start of training; it travels in the checkpoint.
    Source: Hoyer et al., DAFormer, CVPR 2022 (thing-class ImageNet feature distance).

    Args:
        classes: Indices of the classes whose pixels count.
        loss_weight: Weight of the loss.
        min_ratio: Share of a feature cell's pixels, in (0, 1], that one class must hold for the cell to count.

    Raises:
        ValueError: If an argument is out of its range.
    """

    backbone: nn.Module

    def __init__(
        self,
        *,
        classes: Sequence[int],
        loss_weight: float = 0.005,
        min_ratio: float = 0.75,
    ) -> None:
        super().__init__()
        if not classes or min(classes) < 0:
            raise ValueError(f'classes is {list(classes)}: list the indices of the classes that count')
        if not 0 < min_ratio <= 1:
            raise ValueError(f'min_ratio is {min_ratio}: give a share in (0, 1]')
        if loss_weight < 0:
            raise ValueError(f'loss_weight is {loss_weight}: give a number >= 0')
        self.classes = tuple(int(index) for index in classes)
        self.loss_weight = loss_weight
        self.min_ratio = min_ratio

    def start_from(self, backbone: nn.Module) -> None:
        """Freeze a copy of a backbone as the reference."""
        self.backbone = copy.deepcopy(backbone).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FeatureDistance:
        """Keep the frozen network in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor, features: Tensor, labels: Tensor) -> Tensor:
        """Weighted distance on a labelled batch.

        Args:
            images: What the student's backbone saw of the normalised images, shape (B, C, H', W').
            features: The student's deepest features of them, shape (B, D, h, w).
            labels: Labels of the same area, shape (B, H, W); those that are not listed, ignored ones among them, do
                not count.

        Returns:
            Scalar; exactly 0 if no cell belongs to a listed class.
        """
        with torch.no_grad():
            reference = self.backbone(images)
            reference = reference if isinstance(reference, Tensor) else reference[-1]
            counts = self.cells(labels, (features.shape[-2], features.shape[-1]))
        distance = (features - reference).float().pow(2).sum(dim=1).clamp(min=1e-12).sqrt()
        total = torch.where(counts, distance, torch.zeros_like(distance)).sum()
        return self.loss_weight * total / counts.sum().clamp(min=1)

    def cells(self, labels: Tensor, size: tuple[int, int]) -> Tensor:
        """Which feature cells count: shape (B, h, w), bool, for labels of shape (B, H, W)."""
        shares = torch.stack([(labels == index).float() for index in self.classes], dim=1)
        return F.adaptive_avg_pool2d(shares, size).amax(dim=1) >= self.min_ratio
