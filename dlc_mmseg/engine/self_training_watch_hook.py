"""What self-training does to the target, watched without labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from dlc_mmseg.engine.target_crop_hook import TargetCropHook
from dlc_mmseg.engine.target_crops import label_crop
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor

_SAVED = 'self_training_watch'  # entry of checkpoints


@HOOKS.register_module()
class SelfTrainingWatchHook(TargetCropHook):
    """Says on an interval which classes the teacher predicts on the target, and warns when it narrows to one.

    The same crops of the target images that are trained on are labelled every time. One line then gives the share of
    each class in the predictions and among the sure ones (those that reach ``pseudo_label_threshold``), the share of
    pixels that kept the label of the first time, the share whose label differs from the source-only model's, and the
    mean diagonal of T. The figures go to the Visualizer's backends as ``watch.share.CLASS``,
    ``watch.sure_share.CLASS``, ``watch.sure``, ``watch.kept`` and ``watch.changed``.

    The source-only model is the teacher when the warm-up ends (``model.warmup_iterations``), or, without a warm-up, the
    one that training started from (``load_from``); without either, nothing is said of it. What it and the first model
    predicted is kept in checkpoints, a byte for each pixel of the crops, so that a resumed run says the same.

    It warns once, from the end of the warm-up on, if one class makes up nearly all sure pixels while a good part of the
    predictions are of others: the student then learns one class from the target and forgets the others, and no loss
    shows it. ``docs/choosing.md`` says on which of our runs the warning came, and how these ended.

    Args:
        interval: Iterations between lines.
        num_images: Images whose middle is labelled, evenly spread over the target.
        size: Largest height and width of such a crop in pixels.
        excess: The warning comes when a class has a larger share among the sure pixels than among all predictions by
            this much, in (0, 1).

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(self, interval: int = 1000, *, num_images: int = 16, size: int = 512, excess: float = 0.3) -> None:
        super().__init__(interval, num_images, size)
        if not 0 < excess < 1:
            raise ValueError(f'excess is {excess}: give a difference of shares in (0, 1)')
        self.excess = excess
        self._first: Tensor | None = None  # labels of all crops, flat, uint8
        self._source_only: Tensor | None = None  # likewise
        self._warned = False

    def before_train(self, runner: Runner) -> None:
        """Choose the crops; a model without self-training has none."""
        trains = getattr(unwrapped(runner.model), 'self_training', False)
        self._choose_crops(runner, getattr(runner.train_dataloader.dataset, 'target', None) if trains else None)
        model = self._labelling_model(runner)
        if model is None:
            return
        pixels = sum(crop.image.shape[-2] * crop.image.shape[-1] for crop in self._crops)
        if self._first is not None and len(self._first) != pixels:
            runner.logger.info('self-training: other crops than the checkpoint knows, it is not compared with')
            self._first, self._source_only = None, None
        loaded = runner.cfg.get('load_from') and not runner._resume
        if loaded and not model.warmup_iterations:
            self._source_only = torch.cat(self._labelled(model)[0]).byte()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None,
        outputs: object = None,
    ) -> None:
        """Label the crops when the warm-up ends, and when the interval is reached."""
        model = self._labelling_model(runner)
        if model is None:
            return
        warm_up_ends = int(model.iteration) == model.warmup_iterations
        reports = self.every_n_train_iters(runner, self.interval)
        if not (warm_up_ends or reports):
            return
        labels, sure = self._labelled(model)
        self._first = torch.cat(labels).byte() if self._first is None else self._first
        if warm_up_ends:
            self._source_only = torch.cat(labels).byte()
        if reports:
            self._report(runner, model, torch.cat(labels), torch.cat(sure))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep what later predictions are compared with."""
        if self._crops:
            checkpoint[_SAVED] = {'first': self._first, 'source_only': self._source_only, 'warned': self._warned}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Take it up again where a run is resumed."""
        if runner._resume and _SAVED in checkpoint:
            kept = checkpoint[_SAVED]
            self._first, self._source_only, self._warned = kept['first'], kept['source_only'], kept['warned']

    def _report(self, runner: Runner, model: MeanTeacherSegmentor, labels: Tensor, sure: Tensor) -> None:
        classes = runner.train_dataloader.dataset.metainfo['classes']
        shares, sure_shares = _shares(labels, len(classes)), _shares(labels[sure], len(classes))
        sure_share, diagonal = float(sure.float().mean()), _diagonal(model)
        kept = 1.0 if self._first is None else float((labels == self._first).float().mean())
        changed = None if self._source_only is None else float((labels != self._source_only).float().mean())
        runner.logger.info(
            f'self-training: predicted {_percent(classes, shares)}; {sure_share:.0%} of pixels are sure'
            + (f', {_percent(classes, sure_shares)}' if sure_share else '')
            + f'; {kept:.0%} as when first watched'
            + ('' if changed is None else f', {changed:.0%} other than the source-only model says')
            + ('' if diagonal is None else f'; mean diagonal of T {diagonal:.2f}')
        )
        scalars = {f'watch.share.{name}': share for name, share in zip(classes, shares, strict=True)}
        scalars |= {f'watch.sure_share.{name}': share for name, share in zip(classes, sure_shares, strict=True)}
        scalars |= {'watch.sure': sure_share, 'watch.kept': kept}
        scalars |= {} if changed is None else {'watch.changed': changed}
        runner.visualizer.add_scalars(scalars, step=runner.iter + 1)
        if int(model.iteration) >= (model.warmup_iterations or 0):  # before, nothing is learnt from them
            self._warn(runner, classes, shares, sure_shares, changed)

    def _labelled(self, model: MeanTeacherSegmentor) -> tuple[list[Tensor], list[Tensor]]:
        """Labels of each crop, and which of them are sure, both flat."""
        labels, sure = [], []
        for crop in self._crops:
            own, confidence = label_crop(crop, model)
            labels.append(own.flatten())
            sure.append((confidence >= model.pseudo_label_threshold).flatten())
        return labels, sure

    def _warn(
        self, runner: Runner, classes: Sequence[str], shares: list[float], sure: list[float], changed: float | None
    ) -> None:
        excess = [own - share for share, own in zip(shares, sure, strict=True)]
        index = max(range(len(classes)), key=excess.__getitem__)
        if self._warned or excess[index] < self.excess:
            return
        self._warned = True
        runner.logger.warning(
            f'{sure[index]:.0%} of the sure pseudo-labels are {classes[index]}, which makes up {shares[index]:.0%} of '
            f'the predictions: self-training teaches little else of the target and may forget the other classes. '
            + ('' if changed is None else f'It has changed {changed:.0%} of what the source-only model says. ')
            + 'Compare the result with a source-only run (`dlc-mmseg compare`); model.pseudo_label_threshold or a '
            'start from a source-only checkpoint (load_from) changes it'
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
