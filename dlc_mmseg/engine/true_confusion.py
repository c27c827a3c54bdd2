"""Confusion of predicted with true labels on labelled images, counted without changing the state of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from dlc_mmseg.engine.iteration_randomness import kept_randomness
from dlc_mmseg.errors import UserError
from dlc_mmseg.functional.confusion import confusion_counts
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor
from dlc_mmseg.models.stored_labels import label_map

Predict = Callable[[dict[str, Any]], Sequence[SegDataSample]]
"""From ``inputs`` and ``data_samples`` (lists, as a data loader gives them) to predicted samples, as `test_step`."""


@torch.no_grad()
def count_confusion(dataset: Any, indices: Sequence[int], predict: Predict, num_classes: int) -> Tensor:
    """Count the pixels of labelled images by true and predicted label.

    Args:
        dataset: A dataset with a test pipeline that loads labels.
        indices: Images to take.
        predict: Predicts a batch of one image.
        num_classes: Number of classes K.

    Returns:
        Shape (K, K), int64, on the CPU: ``counts[i, j]`` pixels of true class i are predicted as j.

    Raises:
        UserError: If an image comes without labels.
    """
    counts = torch.zeros(num_classes, num_classes, dtype=torch.long)
    for index in indices:
        item = dataset[index]
        sample = predict({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
        if 'gt_sem_seg' not in sample:
            path = sample.metainfo.get('img_path', f'image {index}')
            raise UserError(path, 'has no labels', 'give the dataset seg_map_path and LoadAnnotations')
        labels, predicted = label_map(sample, 'gt_sem_seg'), label_map(sample, 'pred_sem_seg')
        counts += confusion_counts(labels, predicted, num_classes)
    return counts


def count_teacher_confusion(model: MeanTeacherSegmentor, dataset: Any, indices: Sequence[int]) -> Tensor:
    """Count the confusion of the teacher's labels during training.

    The teacher labels whole images as its ``test_cfg`` says, with running batch norm statistics. Modes, buffers and
    the state of random generators are afterwards what they were.

    Args:
        model: The model in training.
        dataset: A dataset with a test pipeline that loads labels.
        indices: Images to take.

    Returns:
        Shape (K, K), int64, on the CPU: ``counts[i, j]`` pixels of true class i have pseudo-label j.
    """

    def predict(data: dict[str, Any]) -> Sequence[SegDataSample]:
        batch = model.data_preprocessor(data, False)
        return list(model.teacher.predict(batch['inputs'], batch['data_samples']))

    with kept_randomness(), evaluation_mode(model.teacher):
        return count_confusion(dataset, indices, predict, model.num_classes)


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode; afterwards each of its parts is in the mode it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
