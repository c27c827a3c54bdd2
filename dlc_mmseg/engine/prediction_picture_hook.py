"""Pictures of predictions, which `mim test --show-dir` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch.nn.functional as F
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.engine.panels import Panel, draw_panels
from dlc_mmseg.engine.picture_sheet import Image
from dlc_mmseg.engine.pictures import colour_labels, grey_confidence, loaded_image
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.stored_labels import label_map
from dlc_mmseg.models.stored_scores import Scores, probabilities, stored_scores


@HOOKS.register_module()
class PredictionPictureHook(Hook):
    """Draws image, label where there is one, prediction and confidence side by side, under the image's name.

    Takes the place of `SegVisualizationHook` in ``default_hooks.visualization``, with the same arguments, which
    MMSegmentation's test script sets (``--show-dir``, ``--show``). What it shows as the image is what the pipeline
    loaded, so that rasters of any type and number of bands show too. Confidence is the largest class probability; it
    is left out where the head's scores do not tell probabilities.

    Args:
        draw: Whether to draw anything.
        interval: Draw every so many images of a test, and batches of a validation.
        show: Open a window instead of writing files.
        wait_time: Seconds that the window stays open; 0 waits for a key.

    Raises:
        ValueError: If the interval is not positive, or the time is negative.
    """

    priority = 'NORMAL'

    def __init__(self, draw: bool = False, interval: int = 1, show: bool = False, wait_time: float = 0.0) -> None:
        if interval < 1:
            raise ValueError(f'interval is {interval}: give a number >= 1')
        if wait_time < 0:
            raise ValueError(f'wait_time is {wait_time}: give seconds >= 0')
        self.draw = draw
        self.interval = interval
        self.show = show
        self.wait_time = wait_time
        self._seen = 0

    def before_test(self, runner: Runner) -> None:
        """Count images from the start."""
        self._seen = 0

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[SegDataSample] | None = None
    ) -> None:
        """Draw the first image of a batch.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            data_batch: ``inputs`` and ``data_samples``.
            outputs: Predicted samples.
        """
        if self.draw and outputs and batch_idx % self.interval == 0:
            self._draw(runner, data_batch['inputs'][0], outputs[0], 'val', runner.iter + batch_idx)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[SegDataSample] | None = None
    ) -> None:
        """Draw every image that is due.

        Args:
            runner: The runner.
            batch_idx: Number of the batch.
            data_batch: ``inputs`` and ``data_samples``.
            outputs: Predicted samples.
        """
        if not self.draw:
            return
        for image, sample in zip(data_batch['inputs'], outputs or (), strict=True):
            self._seen += 1
            if self._seen % self.interval == 0:
                self._draw(runner, image, sample, 'test', self._seen)

    def _draw(self, runner: Runner, image: Tensor, sample: SegDataSample, mode: str, step: int) -> None:
        meta = runner.visualizer.dataset_meta
        classes, palette = meta['classes'], meta['palette']
        model = cast(BaseSegmentor, unwrapped(runner.model))
        picture = _picture(image, sample, classes, palette, stored_scores(model))
        name = f'{mode}_{Path(str(sample.metainfo.get("img_path", "image"))).stem}'
        if self.show:
            runner.visualizer.show(picture, win_name=name, wait_time=self.wait_time)
        else:
            runner.visualizer.add_image(name, picture, step=step)


def _picture(
    image: Tensor, sample: SegDataSample, classes: Sequence[str], palette: Sequence[Sequence[int]], kind: Scores
) -> Image:
    """Panels of one image; ``image`` of shape (C, H, W) as the pipeline delivers it, resized back if it resized it."""
    predicted = label_map(sample, 'pred_sem_seg')
    if image.shape[-2:] != predicted.shape:
        resized = F.interpolate(image[None].float(), predicted.shape, mode='bilinear', align_corners=False)[0]
        image = resized.round().to(image.dtype) if not image.is_floating_point() else resized
    panels = [Panel(Path(str(sample.metainfo.get('img_path', 'image'))).name, loaded_image(image))]
    right = ''
    if 'gt_sem_seg' in sample:
        labels = label_map(sample, 'gt_sem_seg')
        panels.append(Panel('label', colour_labels(labels.numpy(), palette)))
        known = labels != 255
        right = f', {float((predicted == labels)[known].float().mean()):.0%} of pixels right' if known.any() else ''
    panels.append(Panel(f'prediction{right}', colour_labels(predicted.numpy(), palette)))
    if 'seg_logits' in sample:
        confidence = probabilities(sample.get('seg_logits').get('data').cpu(), kind).amax(dim=0)
        if bool(confidence.isfinite().all()):
            mean = float(confidence.mean())
            panels.append(Panel(f'confidence from 0 (black) to 1, mean {mean:.2f}', grey_confidence(confidence)))
    return draw_panels([panels], list(zip(classes, palette, strict=True)))
