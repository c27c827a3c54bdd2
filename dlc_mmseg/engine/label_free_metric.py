"""Scores of predictions on unlabelled images, for choosing a checkpoint of a target without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from dlc_mmseg.functional.label_free_scores import PredictionSums, prediction_scores, prediction_sums
from dlc_mmseg.models.nodata import nodata_of


@METRICS.register_module()
class LabelFreeMetric(BaseMetric):
    """Confidence, diversity and mutual information of predictions; see `PredictionScores` and ``docs/choosing.md``.

    As ``val_evaluator`` on unlabelled target images it lets `CheckpointHook` choose, with
    ``save_best='label_free/information', rule='greater'``. Heads must give softmax logits, as those inside a
    `DLCSegmentor` do. Pixels without data (``nodata_map``) do not count.

    Args:
        collect_device: Where results of several processes are gathered, ``cpu`` or ``gpu``.
        prefix: First part of the scores' names.

    Attributes:
        needs_labels: False; the checks before training then ask for none.
    """

    needs_labels = False
    default_prefix = 'label_free'

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device, prefix)

    def process(self, data_batch: dict[str, Any], data_samples: Sequence[dict[str, Any]]) -> None:
        """Add a batch of predictions.

        Args:
            data_batch: Not used.
            data_samples: Predicted samples, with ``seg_logits`` of shape (K, H, W), K >= 2.

        Raises:
            ValueError: If there is one class only.
        """
        for sample in data_samples:
            probs = sample['seg_logits']['data'].float().softmax(dim=0)
            valid = ~nodata_of(sample, probs.shape[-2:]).to(probs.device)
            self.results.append([part.cpu() for part in prediction_sums(probs, valid)])

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Scores of all images.

        Args:
            results: Sums of each image.

        Returns:
            ``confidence``, ``diversity`` and ``information``, each in [0, 1].
        """
        total = PredictionSums(*(torch.stack(parts).sum(dim=0) for parts in zip(*results, strict=True)))
        return prediction_scores(total)._asdict()
