"""Segmentation figures with the IoU of every class, and a mean F1 in which unpredicted classes count 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """`IoUMetric` that also reports ``IoU.<class>`` and ``mF1``, in percent.

    ``mFscore`` leaves out classes that were never predicted right; ``mF1`` is the mean of
    ``2 intersection / (predicted + labelled)`` over all classes that are predicted or labelled.
    """

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Figures of all images.

        Args:
            results: Areas of intersection, union, prediction and label of each image, each of shape (K,).
        """
        metrics: dict[str, float] = super().compute_metrics(results)
        intersection, union, predicted, labelled = (
            np.sum([np.asarray(areas) for areas in column], axis=0) for column in zip(*results, strict=True)
        )
        with np.errstate(invalid='ignore'):
            overlap = 100 * intersection / union
            metrics['mF1'] = float(np.nanmean(200 * intersection / (predicted + labelled)))
        assert self.dataset_meta is not None
        for name, value in zip(self.dataset_meta['classes'], overlap, strict=True):
            metrics[f'IoU.{name}'] = float(value)
        return metrics
