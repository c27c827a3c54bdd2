"""Segmentation figures with the IoU of every class, one meaning of mean F1, and maps that say where they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from torch import Tensor


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """`IoUMetric` that also reports ``IoU.<class>``, and whose F scores count a class that is never predicted as 0.

    MMSegmentation divides 0 by 0 for such a class and leaves it out of ``mFscore``, so that a network that never
    predicts the hard classes looks better than one that tries. Here the F score of a class is
    ``(1 + beta^2) I / (beta^2 L + P)`` with its pixels predicted right (I), labelled (L) and predicted (P), which is
    the same where both are defined; it is left out only where the class is neither labelled nor predicted.
    ``mPrecision`` still leaves out classes that are never predicted.

    With ``format_only`` nothing is compared: it writes maps and ends in one line that says where they are.

    Takes the arguments of `IoUMetric`.
    """

    def evaluate(self, size: int) -> dict[str, float]:
        """Figures of all images, or where their maps are.

        Args:
            size: Number of images.
        """
        if not self.format_only:
            metrics: dict[str, float] = super().evaluate(size)
            self._say_where(size)
            return metrics
        self.results.clear()
        self._say_where(size)
        return {}

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Figures of all images, in percent.

        Args:
            results: Areas of intersection, union, prediction and label of each image, each of shape (K,).
        """
        metrics: dict[str, float] = super().compute_metrics(results)
        intersection, union = (np.sum([np.asarray(areas[part]) for areas in results], axis=0) for part in (0, 1))
        with np.errstate(invalid='ignore'):
            overlap = 100 * intersection / union
        assert self.dataset_meta is not None
        for name, value in zip(self.dataset_meta['classes'], overlap, strict=True):
            metrics[f'IoU.{name}'] = float(value)
        return metrics

    @staticmethod
    def total_area_to_metrics(
        total_area_intersect: Tensor,
        total_area_union: Tensor,
        total_area_pred_label: Tensor,
        total_area_label: Tensor,
        metrics: Sequence[str] = ('mIoU',),
        nan_to_num: int | None = None,
        beta: int = 1,
    ) -> Any:
        """Figures of every class from areas of shape (K,); the parent's, but for the F scores.

        Args:
            total_area_intersect: Pixels predicted right.
            total_area_union: Pixels labelled or predicted.
            total_area_pred_label: Pixels predicted.
            total_area_label: Pixels labelled.
            metrics: Some of ``mIoU``, ``mDice``, ``mFscore``.
            nan_to_num: Stands for classes without any pixel; None leaves them out.
            beta: Weight of recall in the F score.
        """
        areas = (total_area_intersect, total_area_union, total_area_pred_label, total_area_label)
        figures = IoUMetric.total_area_to_metrics(*areas, list(metrics), nan_to_num, beta)
        if 'Fscore' in figures:
            weighted = beta**2 * total_area_label + total_area_pred_label
            scores = ((1 + beta**2) * total_area_intersect / weighted).numpy()
            figures['Fscore'] = scores if nan_to_num is None else np.nan_to_num(scores, nan=nan_to_num)
        return figures

    def _say_where(self, size: int) -> None:
        if self.output_dir and is_main_process():
            folder = os.path.abspath(self.output_dir)
            print_log(f'Maps of {size} images: {folder} (PNG, one class index per pixel)', logger='current')
