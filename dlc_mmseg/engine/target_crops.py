"""A few crops of the target domain that stay the same through a training, and from one run to the next."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.engine.iteration_randomness import kept_randomness, seed_iteration
from dlc_mmseg.engine.true_confusion import evaluation_mode
from dlc_mmseg.functional.spread import spread_indices
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor
from dlc_mmseg.models.stored_labels import label_map


class TargetCrop(NamedTuple):
    """A part of a target image.

    Attributes:
        name: File name of the image.
        image: Shape (C, H, W), as the pipeline delivers it.
        labels: True labels, shape (H, W), 255 where unknown; None without labels.
    """

    name: str
    image: Tensor
    labels: Tensor | None


def target_crops(dataset: Any, count: int, size: int) -> Iterator[TargetCrop]:
    """Crops of images evenly spread over a dataset; random steps of its pipeline come out alike every time.

    Args:
        dataset: Of one domain, with or without labels.
        count: Crops at most, one of an image.
        size: Largest height and width in pixels; of larger images the middle is taken.

    Yields:
        The crops.
    """
    for index in spread_indices(len(dataset), count):
        with kept_randomness():
            seed_iteration(0, 0, index)
            item = dataset[index]
        image, sample = item['inputs'], item['data_samples']
        labels = label_map(sample, 'gt_sem_seg') if 'gt_sem_seg' in sample else None
        if labels is not None and labels.shape != image.shape[-2:]:  # the test pipeline resizes images only
            labels = F.interpolate(labels[None, None].float(), image.shape[-2:], mode='nearest')[0, 0].long()
        name = Path(str(sample.metainfo.get('img_path', f'image {index}'))).name
        yield TargetCrop(name, _middle(image, size), None if labels is None else _middle(labels, size))


@torch.no_grad()
def label_crop(crop: TargetCrop, model: MeanTeacherSegmentor) -> tuple[Tensor, Tensor]:
    """What the teacher says of a crop, as its ``test_cfg`` says, with running batch norm statistics.

    Modes, buffers and random generators of the training are left as they were.

    Args:
        crop: The crop.
        model: The model in training.

    Returns:
        Pseudo-labels and their probabilities, each of shape (H, W), on the CPU.
    """
    size = tuple(crop.image.shape[-2:])
    sample = SegDataSample(metainfo={'img_shape': size, 'ori_shape': size})
    with kept_randomness(), evaluation_mode(model.teacher):
        batch = model.data_preprocessor({'inputs': [crop.image], 'data_samples': [sample]}, False)
        labelled = model.teacher.predict(batch['inputs'], batch['data_samples'])[0]
    probs = labelled.get('seg_logits').get('data').float().softmax(dim=0)
    return label_map(labelled, 'pred_sem_seg'), probs.amax(dim=0).cpu()


def _middle(values: Tensor, size: int) -> Tensor:
    height, width = values.shape[-2:]
    top, left = max(height - size, 0) // 2, max(width - size, 0) // 2
    return values[..., top : top + size, left : left + size].clone()
