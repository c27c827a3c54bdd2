"""Dynamic Loss Correction: a mean teacher whose pseudo-label losses are corrected with a learnt transition matrix."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Literal

import torch
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.models.segmentors.feature_format import FeatureFormat
from dlc_mmseg.models.segmentors.head_logits import HeadLogits, training_logits
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor
from dlc_mmseg.models.segmentors.target_batch import TargetBatch, TeacherOutput
from dlc_mmseg.models.transition.views import LabelledView, Views, cell_centres


@MODELS.register_module()
class DLCSegmentor(MeanTeacherSegmentor):
    """Mean teacher (DACS + MIC) with forward-corrected target losses.

    On pixels that carry pseudo-labels the student's probabilities pass through the transition matrix
    ``T[i, j] = P(pseudo-label = j | true label = i)`` before the cross-entropy; pixels pasted from the source
    carry true labels and are not corrected. T and the class prior are updated at the end of every iteration by
    their own losses: the estimator's (see `NoiseTransitionMatrix`), volume (small) and convexity (no row a mixture of
    the others).

    Source: He, Yan, Diao and Sun, DLC, IEEE TGRS 62, 2024.

    Args:
        segmentor: Config of the segmentor to train, an EncoderDecoder or subclass.
        transition: Config of `NoiseTransitionMatrix`; None corrects nothing.
        volume_loss: Config of `TransitionVolumeLoss`; None leaves it out.
        convexity_loss: Config of `TransitionConvexityLoss`; None leaves it out.
        train_transition_through_loss: Whether the corrected losses send gradient to T as well (VolMinNet).

    All further arguments are those of `MeanTeacherSegmentor`.

    Attributes:
        transition: The `NoiseTransitionMatrix`, or None.

    Raises:
        ValueError: If an argument is out of its range, or a regulariser is given without a transition matrix.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        *,
        transition: dict[str, Any] | None = None,
        volume_loss: dict[str, Any] | None = None,
        convexity_loss: dict[str, Any] | None = None,
        train_transition_through_loss: bool = False,
        data_preprocessor: dict[str, Any] | None = None,
        class_mix: dict[str, Any] | None = None,
        masked_consistency: dict[str, Any] | None = None,
        strong_augmentation: dict[str, Any] | None = None,
        feature_distance: dict[str, Any] | None = None,
        target_loss: dict[str, Any] | None = None,
        teacher_momentum: float = 0.001,
        teacher_statistics: dict[str, Any] | None = None,
        teacher_batch_statistics: bool | None = None,
        warmup_iterations: int | None = None,
        pseudo_label_threshold: float = 0.968,
        pseudo_label_margins: tuple[int, int, int, int] = (0, 0, 0, 0),
        quality_weight: Literal['image', 'batch'] = 'image',
        predict_with: Literal['student', 'teacher'] = 'student',
        non_finite_loss: Literal['stop', 'skip'] = 'stop',
        memory_format: FeatureFormat = 'auto',
        pretrained: None = None,
        train_cfg: None = None,
        test_cfg: dict[str, Any] | None = None,
        decode_head: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            segmentor,
            data_preprocessor=data_preprocessor,
            class_mix=class_mix,
            masked_consistency=masked_consistency,
            strong_augmentation=strong_augmentation,
            feature_distance=feature_distance,
            target_loss=target_loss,
            teacher_momentum=teacher_momentum,
            teacher_statistics=teacher_statistics,
            teacher_batch_statistics=teacher_batch_statistics,
            warmup_iterations=warmup_iterations,
            pseudo_label_threshold=pseudo_label_threshold,
            pseudo_label_margins=pseudo_label_margins,
            quality_weight=quality_weight,
            predict_with=predict_with,
            non_finite_loss=non_finite_loss,
            memory_format=memory_format,
            pretrained=pretrained,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            decode_head=decode_head,
        )
        for name, part in (('volume_loss', volume_loss), ('convexity_loss', convexity_loss)):
            if part is not None and transition is None:
                raise ValueError(f'{name} is given without transition: set transition, or {name}=None')
        self.transition = _build(transition, num_classes=self.num_classes)
        self.volume_loss = _build(volume_loss)
        self.convexity_loss = _build(convexity_loss)
        self.train_transition_through_loss = train_transition_through_loss

    def correction(self) -> Tensor | None:
        """Transition matrix, shape (K, K), that target losses are corrected with."""
        return None if self.transition is None else self.transition.correction()

    def target_branches(
        self,
        inputs: dict[str, Tensor],
        data_samples: dict[str, list[SegDataSample]],
        teacher: TeacherOutput,
    ) -> Generator[dict[str, Tensor], None, None]:
        """Corrected losses on pseudo-labels, then the update of T, whose branch only reports."""
        seen: list[tuple[TargetBatch, HeadLogits]] = []
        for batch in self.target_batches(inputs, data_samples, teacher):
            with self.target_statistics(batch):
                heads = training_logits(self.student, batch.images)
                yield self.target_branch(batch, heads)
            seen += [(batch, head._replace(logits=head.logits.detach())) for head in heads]
        if self.transition is not None:
            yield self.update_transition(teacher, seen)

    def update_transition(
        self, teacher: TeacherOutput, seen: list[tuple[TargetBatch, HeadLogits]]
    ) -> dict[str, Tensor]:
        """One step of T and the prior on the iteration's target batch.

        Args:
            teacher: Pseudo-labels and features of the target batch.
            seen: Batches with the student's detached logits.

        Returns:
            Values of the terms, to log; nothing here trains the network.
        """

        def regularise(transition: Tensor) -> dict[str, Tensor]:
            terms = {}
            if self.volume_loss is not None:
                terms['volume'] = self.volume_loss(transition)
            if self.convexity_loss is not None:
                terms['convexity'] = self.convexity_loss(transition)
            if self.train_transition_through_loss:
                terms['corrected'] = torch.stack([self.head_loss(head, b, transition) for b, head in seen]).sum()
            return terms

        points = self.transition.estimator.draw(teacher.features, teacher.pseudo.labels, teacher.valid)
        terms = self.transition.update(points, Views([teacher_view(teacher)], pasted_views(seen)), regularise)
        report = {f'transition.{name}': value for name, value in terms.items()}
        report['transition.diagonal'] = self.transition().diagonal().mean()
        return report


def predicts(head: HeadLogits) -> bool:
    """Whether a head decodes the whole image, unlike auxiliary heads and detail crops."""
    return head.name.startswith('decode') and head.box is None


def teacher_view(teacher: TeacherOutput) -> LabelledView:
    """What the teacher says of the target images beside its pseudo-labels; they count however unsure, but for padding.

    Its logits are taken at the centres of the shallowest features' cells, each of which counts as its pixels: between
    them they were interpolated from a head that is no finer.

    Args:
        teacher: Its output.
    """
    size = teacher.features[0].shape[-2:] if teacher.features else teacher.logits.shape[-2:]
    height, width = (min(cells, pixels) for cells, pixels in zip(size, teacher.logits.shape[-2:], strict=True))
    logits, pixels = cell_centres(teacher.logits, height, width), teacher.logits[0, 0].numel() / (height * width)
    return LabelledView(logits, teacher.pseudo.labels, teacher.valid, pixels)


def pasted_views(seen: list[tuple[TargetBatch, HeadLogits]]) -> list[LabelledView]:
    """What the student's predicting heads say of pixels that were pasted from the source.

    Args:
        seen: Batches with the heads' logits.
    """
    return [
        LabelledView(head.logits, batch.labels, ~batch.pseudo_labelled)
        for batch, head in seen
        if batch.pseudo_labelled is not None and predicts(head)
    ]


def _build(config: dict[str, Any] | None, **defaults: Any) -> Any:
    return None if config is None else MODELS.build(config, default_args=defaults)
