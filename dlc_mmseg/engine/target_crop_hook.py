"""Hooks that let the teacher label the same few crops of the target throughout a training."""

from __future__ import annotations

from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from dlc_mmseg.engine.target_crops import TargetCrop, target_crops
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor


class TargetCropHook(Hook):
    """Chooses the crops; a model without a teacher, and processes other than the main one, have none.

    Args:
        interval: Iterations between two times that the crops are looked at.
        num_images: Images at most, evenly spread over the target, of each of which the middle is taken.
        size: Largest height and width of a crop in pixels.

    Raises:
        ValueError: If a number is not positive.
    """

    priority = 'LOW'

    def __init__(self, interval: int, num_images: int, size: int) -> None:
        for name, value in (('interval', interval), ('num_images', num_images), ('size', size)):
            if value < 1:
                raise ValueError(f'{name} is {value}: give a number >= 1')
        self.interval = interval
        self.num_images = num_images
        self.size = size
        self._crops: list[TargetCrop] = []

    def _choose_crops(self, runner: Runner, dataset: Any) -> None:
        """Choose the crops of a dataset; None has none."""
        chosen = dataset is not None and is_main_process() and isinstance(unwrapped(runner.model), MeanTeacherSegmentor)
        self._crops = list(target_crops(dataset, self.num_images, self.size)) if chosen else []

    def _labelling_model(self, runner: Runner) -> MeanTeacherSegmentor | None:
        """The model whose teacher labels the crops; None where there are none."""
        model = unwrapped(runner.model)
        return model if self._crops and isinstance(model, MeanTeacherSegmentor) else None
