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

from dlc_mmseg.errors import UserError


@METRICS.register_module()
class ClassIoUMetric(IoUMetric):
    """`IoUMetric` that also reports ``IoU.<class>``, and whose F scores count a class that is never predicted as 0.

    MMSegmentation divides 0 by 0 for such a class and leaves it out of ``mFscore``, so that a network that never
    predicts the hard classes looks better than one that tries. Here the F score of a class is
    ``(1 + beta^2) I / (beta^2 L + P)`` with its pixels predicted right (I), labelled (L) and predicted (P), which is
    the same where both are defined; it is left out only where the class is neither labelled nor predicted.
    ``mPrecision`` still leaves out classes that are never predicted.

    With ``output_dir`` it writes the map of every image, also of those without labels, and ends in one line that says
    where they are. Images without labels have no part in the figures; with ``format_only`` none has.

    Takes the arguments of `IoUMetric`.
    """

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Compare labelled images, and write maps of all where that is asked for.

        Args:
            data_batch: Not used.
            data_samples: Predicted samples.
        """
        compared = [sample for sample in data_samples if 'gt_sem_seg' in sample and not self.format_only]
        super().process(data_batch, compared)
        if self.output_dir is not None:
            format_only, self.format_only = self.format_only, True
            super().process(data_batch, _others(data_samples, compared))
            self.format_only = format_only

    def evaluate(self, size: int) -> dict[str, float]:
        """Figures of all images, or where their maps are.

        Args:
            size: Number of images.
        """
        metrics: dict[str, float] = {} if self.format_only else super().evaluate(size)
        self._say_where(size)
        return metrics

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Figures of all images, in percent.

        Args:
            results: Areas of intersection, union, prediction and label of each image, each of shape (K,).
        """
        if not results:
            raise UserError(
                'val_evaluator or test_evaluator',
                'compares with labels, but no image has any',
                'name the folder of the labels in data_prefix.seg_map_path, or write maps only with format_only=True',
            )
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


def _others(samples: Sequence[dict[str, Any]], chosen: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Samples that are not among the chosen ones; by identity, as tensors have no truth value."""
    known = {id(sample) for sample in chosen}
    return [sample for sample in samples if id(sample) not in known]
