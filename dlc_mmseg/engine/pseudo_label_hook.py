"""Pictures of the pseudo-labels during training."""

from __future__ import annotations

from typing import Any

from mmengine.runner import Runner
from mmseg.registry import HOOKS

from dlc_mmseg.engine.labelled_target import labelled_target
from dlc_mmseg.engine.panels import Panel, draw_panels
from dlc_mmseg.engine.pictures import colour_labels, grey_confidence, loaded_image
from dlc_mmseg.engine.target_crop_hook import TargetCropHook
from dlc_mmseg.engine.target_crops import TargetCrop, label_crop
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor


@HOOKS.register_module()
class PseudoLabelHook(TargetCropHook):
    """Draws target crops, their true labels where known, the teacher's pseudo-labels and its confidence.

    The crops are the same on every interval, so that the pictures show what training changes: of labelled images
    where there are any, else of the images that are trained on. Labels serve for looking only. The teacher labels as
    its ``test_cfg`` says, with running batch norm statistics; modes, buffers and random generators of the training are
    left as they were.

    Pictures go to every Visualizer backend under the name ``pseudo_labels``. A model without a teacher is left alone.

    Args:
        interval: Iterations between pictures.
        labelled_target: Config of a labelled dataset of the target domain, with a test pipeline; None takes the
            run's validation set, where there is one.
        num_images: Crops in a picture.
        size: Largest height and width of a crop in pixels.

    Raises:
        ValueError: If a number is out of its range.
        UserError: At the start of training, if ``labelled_target`` gives no labels.
    """

    def __init__(
        self,
        interval: int = 1000,
        *,
        labelled_target: dict[str, Any] | None = None,
        num_images: int = 3,
        size: int = 512,
    ) -> None:
        super().__init__(interval, num_images, size)
        self.labelled_target = labelled_target

    def before_train(self, runner: Runner) -> None:
        """Choose the crops."""
        dataset = labelled_target(runner, self.labelled_target, type(self).__name__)
        if dataset is None:
            dataset = getattr(runner.train_dataloader.dataset, 'target', None)
        self._choose_crops(runner, dataset)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None,
        outputs: object = None,
    ) -> None:
        """Draw the crops when the interval is reached."""
        model = self._labelling_model(runner)
        if model is None or not self.every_n_train_iters(runner, self.interval):
            return
        meta = runner.train_dataloader.dataset.metainfo
        rows = [_panels(crop, model, meta['palette']) for crop in self._crops]
        picture = draw_panels(rows, list(zip(meta['classes'], meta['palette'], strict=True)))
        runner.visualizer.add_image('pseudo_labels', picture, step=runner.iter + 1)


def _panels(crop: TargetCrop, model: MeanTeacherSegmentor, palette: list[list[int]]) -> list[Panel]:
    """Image, true labels where known, pseudo-labels and confidence of a crop."""
    labels, confidence = label_crop(crop, model)
    panels = [Panel(crop.name, loaded_image(crop.image))]
    right = ''
    if crop.labels is not None:
        panels.append(Panel('label', colour_labels(crop.labels.numpy(), palette)))
        known = crop.labels != 255
        right = f', {float((labels == crop.labels)[known].float().mean()):.0%} right' if known.any() else ''
    threshold = model.pseudo_label_threshold
    sure = float((confidence >= threshold).float().mean())
    panels.append(Panel(f'pseudo-labels{right}', colour_labels(labels.numpy(), palette)))
    panels.append(Panel(f'confidence, {sure:.0%} of pixels >= {threshold:g}', grey_confidence(confidence)))
    return panels
