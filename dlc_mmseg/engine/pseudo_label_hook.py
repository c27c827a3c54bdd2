"""Pictures of the pseudo-labels during training."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

from dlc_mmseg.engine.pictures import colour_labels, displayable, side_by_side
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor
from dlc_mmseg.models.segmentors.teacher import unwrapped


@HOOKS.register_module()
class PseudoLabelHook(Hook):
    """Draws a target image, the teacher's pseudo-labels and its confidence on an interval.

    Pictures go to every Visualizer backend under the name ``pseudo_labels``. A model without a teacher is left alone.

    Args:
        interval: Iterations between pictures.

    Raises:
        ValueError: If the interval is not positive.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 1000) -> None:
        if interval < 1:
            raise ValueError(f'interval is {interval}: give a number of iterations >= 1')
        self.interval = interval

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None,
        outputs: object = None,
    ) -> None:
        """Draw the first target image of the batch when the interval is reached."""
        model = unwrapped(runner.model)
        if not isinstance(data_batch, dict) or not isinstance(model, MeanTeacherSegmentor):
            return
        if not self.every_n_train_iters(runner, self.interval):
            return
        image = data_batch['target']['inputs'][0]
        height, width = image.shape[-2:]  # test_cfg of the preprocessor may pad below and to the right
        batch = model.data_preprocessor({'inputs': [image], 'data_samples': [SegDataSample()]}, False)
        teacher_training = model.teacher_batch_statistics
        model.teacher_batch_statistics = False
        with torch.no_grad():
            pseudo = model.label_target(batch['inputs']).pseudo
        model.teacher_batch_statistics = teacher_training
        model.train(model.training)
        labels, confidence = (values[0, :height, :width].cpu() for values in (pseudo.labels, pseudo.confidence))
        meta = runner.train_dataloader.dataset.metainfo
        picture = side_by_side(
            [
                ('target image', displayable(_stored_order(image, model).permute(1, 2, 0).cpu().numpy())),
                ('pseudo-labels', colour_labels(labels.numpy(), meta['palette'])),
                (
                    f'confidence, {float((confidence >= model.pseudo_label_threshold).float().mean()):.0%} '
                    f'>= {model.pseudo_label_threshold:g}',
                    displayable((confidence[..., None] * 255).byte().numpy()),
                ),
            ],
            list(zip(meta['classes'], meta['palette'], strict=True)),
        )
        runner.visualizer.add_image('pseudo_labels', picture, step=runner.iter + 1)


def _stored_order(image: torch.Tensor, model: MeanTeacherSegmentor) -> torch.Tensor:
    """Channels as the file holds them: loaders give BGR where the preprocessor turns it to RGB."""
    swapped = getattr(model.data_preprocessor, '_channel_conversion', False) and image.shape[0] == 3
    return image[[2, 1, 0]] if swapped else image
