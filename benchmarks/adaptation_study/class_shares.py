"""The share that every class has in predictions and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmseg.registry import METRICS

from dlc_mmseg.engine.class_iou_metric import ClassIoUMetric


@METRICS.register_module()
class ClassShareMetric(ClassIoUMetric):
    """`ClassIoUMetric` that also reports ``predicted.<class>`` and ``labelled.<class>``: percent of labelled pixels."""

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Figures of all images.

        Args:
            results: Areas of intersection, union, prediction and label of each image, each of shape (K,).
        """
        metrics: dict[str, float] = super().compute_metrics(results)
        areas = [np.sum([np.asarray(part) for part in column], axis=0) for column in zip(*results, strict=True)]
        assert self.dataset_meta is not None
        for title, counts in zip(('predicted', 'labelled'), areas[2:], strict=True):
            for name, share in zip(self.dataset_meta['classes'], 100 * counts / max(counts.sum(), 1), strict=True):
                metrics[f'{title}.{name}'] = float(share)
        return metrics
