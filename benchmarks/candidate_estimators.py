"""Estimators of T that look on while a baseline trains, and their distance from the true confusion."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch
from adaptation_study.true_transition import TransitionErrorHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS, MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from dlc_mmseg.functional import estimate_transition_matrix, log_volume
from dlc_mmseg.functional.confusion import transition_error, true_transition
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor, pasted_views, teacher_view
from dlc_mmseg.models.segmentors.head_logits import HeadLogits, training_logits
from dlc_mmseg.models.segmentors.target_batch import TargetBatch, TeacherOutput
from dlc_mmseg.models.transition.matrix import NoiseTransitionMatrix
from dlc_mmseg.models.transition.views import LabelledView, Points, Views, draw_points

LEVELS = (0, 1, -1)
CELLS = 400  # remembered of each iteration
MEMORY = 40  # iterations that are remembered
COURSE_FILE = 'candidates.jsonl'


@MODELS.register_module()
class ObservedBaseline(DLCSegmentor):
    """The baseline; estimators see what they would see in DLC, and nothing is corrected.

    Args:
        total_iterations: Iterations of the run.
        arguments: Those of `DLCSegmentor`.
    """

    def __init__(self, *, total_iterations: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        classes = self.num_classes

        def published(**settings: Any) -> NoiseTransitionMatrix:
            estimator = {'type': 'ConsensusEstimator', **settings}
            return NoiseTransitionMatrix(classes, estimator=estimator, total_iterations=total_iterations)

        self.matrices = nn.ModuleDict(
            {
                'published': published(feature_level=-1),
                'published0': published(feature_level=0),
                'published_fast': published(feature_level=0, learning_rate=0.1),
                'teacher': NoiseTransitionMatrix(classes),
                'known': NoiseTransitionMatrix(classes),
                'teacher_known': NoiseTransitionMatrix(classes),
                'teacher_known_pixels': NoiseTransitionMatrix(classes),
                'student': NoiseTransitionMatrix(classes),
                'student_known': NoiseTransitionMatrix(classes),
                'loss': NoiseTransitionMatrix(
                    classes,
                    estimator={'type': 'ConfusionEstimator', 'loss_weight': 0.0},
                    total_iterations=total_iterations,
                ),
            }
        )
        self.memory: dict[int, list[Points]] = {level: [] for level in LEVELS}

    def target_branches(
        self,
        inputs: dict[str, Tensor],
        data_samples: dict[str, list[SegDataSample]],
        teacher: TeacherOutput,
    ) -> Generator[dict[str, Tensor], None, None]:
        """Uncorrected losses, then an update of every estimator."""
        seen: list[tuple[TargetBatch, HeadLogits]] = []
        for batch in self.target_batches(inputs, data_samples, teacher):
            with self.target_statistics(batch):
                (head,) = training_logits(self.student, batch.images)
                yield self.target_branch(batch, [head])
            seen.append((batch, head._replace(logits=head.logits.detach())))
        self.observe(teacher, seen)

    def observe(self, teacher: TeacherOutput, seen: list[tuple[TargetBatch, HeadLogits]]) -> None:
        """Update every estimator and remember points."""
        labels, valid = teacher.pseudo.labels, teacher.valid
        own, pasted = [teacher_view(teacher)], pasted_views(seen)
        mixed = [
            LabelledView(
                head.logits, batch.labels, valid if batch.pseudo_labelled is None else batch.pseudo_labelled & valid
            )
            for batch, head in seen
        ]
        size = (labels.shape[-2], labels.shape[-1])
        pixels = pasted_views([(batch, head._replace(logits=head.resized(size))) for batch, head in seen])
        sees = {
            'teacher': Views(own),
            'known': Views(pasted=pasted),
            'teacher_known': Views(own, pasted),
            'teacher_known_pixels': Views([LabelledView(teacher.logits, labels, valid)], pixels),
            'student': Views(mixed),
            'student_known': Views(mixed, pasted),
        }

        def corrected(transition: Tensor) -> dict[str, Tensor]:
            losses = torch.stack([self.head_loss(head, batch, transition) for batch, head in seen]).sum()
            return {'corrected': losses, 'volume': 0.1 * log_volume(transition)}

        for name, matrix in self.matrices.items():
            points = matrix.estimator.draw(teacher.features, labels, valid)
            matrix.update(points, sees.get(name, Views()), corrected if name == 'loss' else lambda _: {})
        for level, points in self.memory.items():
            drawn = draw_points(teacher.features[level], labels, valid, CELLS)
            self.memory[level] = [*points, drawn][-MEMORY:]

    def candidates(self) -> dict[str, Tensor]:
        """Every estimator's T, shape (K, K), by name."""
        found = {name: matrix() for name, matrix in self.matrices.items()}
        for level, memory in self.memory.items():
            features = torch.cat([points.features for points in memory])
            labels = torch.cat([points.labels for points in memory])
            for name, belief in (('likelihood', None), ('map', found['known'])):
                found[f'{name}{level}'] = estimate_transition_matrix(
                    features, labels, self.num_classes, num_points=4000, prior_transition=belief, prior_strength=20.0
                ).transition
        return found


@HOOKS.register_module()
class CandidateErrorHook(TransitionErrorHook):
    """Writes the mean |T - true T| of the identity and of every estimator on an interval."""

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Measure on the interval, once something was seen."""
        if runner.iter and runner.iter % self.interval == 0:
            self.measure(runner)

    def measure(self, runner: Runner) -> None:
        """Measure and write one line."""
        model = unwrapped(runner.model)
        assert isinstance(model, ObservedBaseline)
        if not model.memory[LEVELS[0]]:  # the warm-up, in which there are no pseudo-labels
            return
        truth = true_transition(self.counts(model))
        found = {'identity': torch.eye(len(truth)), **model.candidates()}
        errors = {name: float(transition_error(matrix, truth)) for name, matrix in found.items()}
        line = {'iteration': runner.iter, 'true_diagonal': float(truth.diagonal().nanmean()), 'errors': errors}
        with (Path(runner.work_dir) / COURSE_FILE).open('a', encoding='utf-8') as file:
            file.write(json.dumps(line) + '\n')
