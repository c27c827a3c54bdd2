"""What self-training does to the target, watched without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from dlc_mmseg.engine.target_crops import TargetCrop, label_crop, target_crops
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor


@HOOKS.register_module()
class SelfTrainingWatchHook(Hook):
    """Says on an interval which classes the teacher predicts on the target, and warns when it narrows to one.

    The same crops of the target images that are trained on are labelled every time. One line then gives the share of
    each class in the predictions and among the sure ones (those that reach ``pseudo_label_threshold``), the share of
    pixels that kept the label of the first time, and the mean diagonal of T. The figures go to the Visualizer's
    backends as ``watch.share.CLASS``, ``watch.sure_share.CLASS``, ``watch.sure``, ``watch.kept``.

    It warns once if one class makes up nearly all sure pixels while a good part of the predictions are of others: the
    student then learns one class from the target and forgets the others, and no loss shows it. ``docs/choosing.md``
    says on which of our runs the warning came, and how these ended.

    Args:
        interval: Iterations between lines.
        num_images: Images whose middle is labelled, evenly spread over the target.
        size: Largest height and width of such a crop in pixels.
        excess: The warning comes when a class has a larger share among the sure pixels than among all predictions by
            this much, in (0, 1).

    Raises:
        ValueError: If a number is out of its range.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 1000, *, num_images: int = 16, size: int = 512, excess: float = 0.3) -> None:
        for name, value in (('interval', interval), ('num_images', num_images), ('size', size)):
            if value < 1:
                raise ValueError(f'{name} is {value}: give a number >= 1')
        if not 0 < excess < 1:
            raise ValueError(f'excess is {excess}: give a difference of shares in (0, 1)')
        self.interval = interval
        self.num_images = num_images
        self.size = size
        self.excess = excess
        self._crops: list[TargetCrop] = []
        self._first: list[Tensor] = []
        self._warned = False

    def before_train(self, runner: Runner) -> None:
        """Choose the crops; a model without self-training has none."""
        model = unwrapped(runner.model)
        trains = isinstance(model, MeanTeacherSegmentor) and (model.class_mix or model.masked_consistency)
        dataset = getattr(runner.train_dataloader.dataset, 'target', None)
        watched = trains and dataset is not None and is_main_process()
        self._crops = list(target_crops(dataset, self.num_images, self.size)) if watched else []

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None,
        outputs: object = None,
    ) -> None:
        """Label the crops when the interval is reached."""
        model = unwrapped(runner.model)
        if not self._crops or not isinstance(model, MeanTeacherSegmentor):
            return
        if not self.every_n_train_iters(runner, self.interval):
            return
        labels, sure = self._labelled(model)
        classes = runner.train_dataloader.dataset.metainfo['classes']
        shares = _shares(torch.cat(labels), len(classes))
        sure_shares = _shares(torch.cat([own[chosen] for own, chosen in zip(labels, sure, strict=True)]), len(classes))
        self._first = self._first or labels
        kept = float((torch.cat(labels) == torch.cat(self._first)).float().mean())
        sure_share = float(torch.cat(sure).float().mean())
        diagonal = _diagonal(model)
        runner.logger.info(
            f'self-training: predicted {_percent(classes, shares)}; {sure_share:.0%} of pixels are sure'
            + (f', {_percent(classes, sure_shares)}' if sure_share else '')
            + f'; {kept:.0%} as when first watched'
            + ('' if diagonal is None else f'; mean diagonal of T {diagonal:.2f}')
        )
        scalars = {f'watch.share.{name}': share for name, share in zip(classes, shares, strict=True)}
        scalars |= {f'watch.sure_share.{name}': share for name, share in zip(classes, sure_shares, strict=True)}
        runner.visualizer.add_scalars({**scalars, 'watch.sure': sure_share, 'watch.kept': kept}, step=runner.iter + 1)
        self._warn(runner, classes, shares, sure_shares)

    def _labelled(self, model: MeanTeacherSegmentor) -> tuple[list[Tensor], list[Tensor]]:
        """Labels of each crop, and which of them are sure, both flat."""
        labels, sure = [], []
        for crop in self._crops:
            own, confidence = label_crop(crop, model)
            labels.append(own.flatten())
            sure.append((confidence >= model.pseudo_label_threshold).flatten())
        return labels, sure

    def _warn(self, runner: Runner, classes: Sequence[str], shares: list[float], sure: list[float]) -> None:
        excess = [own - share for share, own in zip(shares, sure, strict=True)]
        index = max(range(len(classes)), key=excess.__getitem__)
        if self._warned or excess[index] < self.excess:
            return
        self._warned = True
        runner.logger.warning(
            f'{sure[index]:.0%} of the sure pseudo-labels are {classes[index]}, which makes up {shares[index]:.0%} of '
            f'the predictions: self-training teaches little else of the target and may forget the other classes. '
            f'Compare the result with a source-only run (`dlc-mmseg compare`); model.pseudo_label_threshold or a start '
            f'from a source-only checkpoint (load_from) changes it'
        )


def _shares(labels: Tensor, num_classes: int) -> list[float]:
    """Share of each class; zeros where there are no labels."""
    counts = torch.bincount(labels, minlength=num_classes).double()
    shares: list[float] = (counts / counts.sum().clamp(min=1)).tolist()
    return shares


def _diagonal(model: MeanTeacherSegmentor) -> float | None:
    if not isinstance(model, DLCSegmentor) or model.transition is None:
        return None
    return float(model.transition().detach().diagonal().mean())


def _percent(classes: Sequence[str], shares: Sequence[float]) -> str:
    return ', '.join(f'{name} {share:.0%}' for name, share in zip(classes, shares, strict=True))
