"""The true confusion of the teacher's pseudo-labels during training, and a T that is set to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import DATASETS, HOOKS, MODELS
from torch import Tensor, nn

from dlc_mmseg.datasets.draw_randomness import isolated_randomness
from dlc_mmseg.functional.confusion import confusion_counts, true_transition
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor
from dlc_mmseg.models.segmentors.target_batch import stacked_labels
from dlc_mmseg.models.transition.matrix import NoiseTransitionMatrix

COURSE_FILE = 'transition.jsonl'
_SMALLEST = 1e-6


@MODELS.register_module()
class TrueTransitionMatrix(NoiseTransitionMatrix):
    """A T that learns nothing: `TransitionErrorHook` sets it to the true confusion. It corrects from the start.

    ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1.

    Args:
        num_classes: Number of classes K >= 2; `DLCSegmentor` fills it in.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)

    def correction(self) -> Tensor:
        """T itself, shape (K, K)."""
        return self.logits.softmax(dim=1)

    def update(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        """Leave T alone."""
        return {}

    def fix(self, transition: Tensor) -> None:
        """Set T; rows that are unknown (NaN) become rows of the identity.

        Args:
            transition: Shape (K, K).
        """
        identity = torch.eye(len(transition), dtype=transition.dtype, device=transition.device)
        known = torch.where(transition.isnan(), identity, transition)
        self.logits.copy_(known.clamp(min=_SMALLEST).log())


@HOOKS.register_module()
class TransitionErrorHook(Hook):
    """Measures the true confusion of the teacher's pseudo-labels on labelled target crops.

    The crops are the same each time, drawn with the training's own augmentations; labels are made in batches, as in
    training. Nothing of the run changes: draws, batch norm statistics and modes are as without the hook. It measures
    before the iterations 0, 1/8, 1/4, 1/2, 1, 2, ... intervals and at the end, and appends a line to
    ``transition.jsonl`` of the work folder each time. A `TrueTransitionMatrix` is set to what was measured.

    Args:
        target: Config of the labelled target training tiles, with the training's augmentations.
        batch_size: Crops of a batch.
        crops: Crops in all.
        interval: Iterations between measurements.
    """

    priority = 'LOW'

    def __init__(self, target: dict[str, Any], *, batch_size: int, crops: int, interval: int) -> None:
        self.dataset = DATASETS.build(target)
        self.batch_size = batch_size
        self.crops = crops
        self.interval = interval
        self._early = {interval // 8, interval // 4, interval // 2}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Measure where it is due."""
        if runner.iter % self.interval == 0 or runner.iter in self._early:
            self.measure(runner)

    def after_train(self, runner: Runner) -> None:
        """Measure what the last iteration left."""
        self.measure(runner)

    def measure(self, runner: Runner) -> None:
        """Measure, write a line, and set a T that is to be the true one.

        Args:
            runner: The runner, of a model with a teacher.
        """
        model = unwrapped(runner.model)
        assert isinstance(model, MeanTeacherSegmentor)
        truth = true_transition(self.counts(model)).cpu()
        identity = torch.eye(len(truth), dtype=truth.dtype)
        matrix = getattr(model, 'transition', None)
        used = identity if matrix is None else matrix.logits.softmax(dim=1).cpu()
        line = {
            'iteration': runner.iter,
            'error': float((used - truth).abs().nanmean()),
            'identity_error': float((identity - truth).abs().nanmean()),
            'diagonal': [round(value, 4) for value in used.diagonal().tolist()],
            'true_diagonal': [round(value, 4) for value in truth.diagonal().tolist()],
        }
        with (Path(runner.work_dir) / COURSE_FILE).open('a', encoding='utf-8') as file:
            file.write(json.dumps(line) + '\n')
        if isinstance(matrix, TrueTransitionMatrix):
            matrix.fix(truth.to(matrix.logits.device))

    @torch.no_grad()
    def counts(self, model: MeanTeacherSegmentor) -> Tensor:
        """Pixels by true label and pseudo-label, shape (K, K)."""
        total = torch.zeros(model.num_classes, model.num_classes, dtype=torch.long)
        with _kept_buffers(model):
            model.train()
            for batch in self._batches():
                data = model.data_preprocessor(batch, True)
                labels = stacked_labels(data['data_samples'])
                made = model.label_target(data['inputs'], data['data_samples'])
                known = torch.where(made.valid, labels, torch.full_like(labels, 255))
                total += confusion_counts(known, made.pseudo.labels, model.num_classes).cpu()
        return total

    def _batches(self) -> Iterator[dict[str, list[Any]]]:
        places = np.random.default_rng(0).permutation(np.arange(self.crops) * len(self.dataset) // self.crops)
        for start in range(0, self.crops, self.batch_size):
            items = []
            for number in range(start, min(start + self.batch_size, self.crops)):
                with isolated_randomness(0, number):
                    items.append(self.dataset[int(places[number])])
            yield {name: [item[name] for item in items] for name in ('inputs', 'data_samples')}


@contextmanager
def _kept_buffers(module: nn.Module) -> Iterator[None]:
    """Put the buffers (batch norm statistics) and modes of a network back at the end."""
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers()]
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for buffer, before in buffers:
            buffer.copy_(before)
        for part, training in modes:
            part.training = training
