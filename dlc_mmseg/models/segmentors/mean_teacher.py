"""Self-training with a mean teacher: DACS mixing and masked image consistency."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor

from dlc_mmseg.functional.pseudo_label import pseudo_labels
from dlc_mmseg.models.backbone_outputs import recorded_features
from dlc_mmseg.models.segmentors.branchwise import BranchwiseSegmentor
from dlc_mmseg.models.segmentors.feature_format import FeatureFormat
from dlc_mmseg.models.segmentors.head_logits import HeadLogits, training_logits
from dlc_mmseg.models.segmentors.self_training_arguments import check_passed_on, check_settings
from dlc_mmseg.models.segmentors.target_batch import TargetBatch, TeacherOutput, stacked_labels, valid_pixels
from dlc_mmseg.models.segmentors.teacher import set_teacher_mode
from dlc_mmseg.models.segmentors.teacher_statistics import chosen_statistics


@MODELS.register_module()
class MeanTeacherSegmentor(BranchwiseSegmentor):
    """Wraps any dense MMSegmentation segmentor for adaptation to an unlabelled target domain.

    The teacher follows the student; the student learns from the labelled source batch, from target images mixed with
    source classes (DACS) and from masked ones (MIC), both on the teacher's pseudo-labels. None leaves a part out;
    without ``class_mix`` and ``masked_consistency`` training is source-only.

    Sources: Tranheden et al., DACS, WACV 2021; Hoyer et al., MIC, CVPR 2023.

    Args:
        segmentor: Config of the segmentor to train, an EncoderDecoder or subclass.
        data_preprocessor: Config, normally a `PairedDomainDataPreprocessor`.
        class_mix: Config of `ClassMix`.
        masked_consistency: Config of `MaskedImageConsistency`.
        strong_augmentation: Config of `StrongAugmentation` for mixed and masked images.
        feature_distance: Config of `FeatureDistance` on the source batch.
        target_loss: Config of a loss called as
            ``loss(logits, labels, transition, transition_mask=..., weight=..., ignore_index=...)``. Of the losses of
            a head only their ``loss_weight`` reaches target images: ``class_weight`` is given here as well, and a
            ``sampler`` chooses pixels of the source alone.
        teacher_momentum: Share of the student in each late update of the teacher, in (0, 1].
        teacher_statistics: Config of where the teacher's batch norms get their statistics from: `BatchStatistics` (each
            target batch's, as the original implementation; the default), `StudentStatistics`, or
            `ClassMatchedStatistics` (of target images weighted to the source's class shares). Norms that the student
            keeps frozen (``norm_eval``, ``frozen_stages``) stay so either way.
        teacher_batch_statistics: Earlier form of ``teacher_statistics``, in its place: True is `BatchStatistics`, False
            `StudentStatistics`.
        warmup_iterations: Iterations without self-training at the start, in which only statistics adapt; None: none.
        pseudo_label_threshold: Confidence in [0, 1] above which a pixel counts as sure.
        pseudo_label_margins: Pixels (top, bottom, left, right) whose pseudo-labels get weight 0.
        quality_weight: Weight of pseudo-labels: the share of sure pixels of each ``image`` or of the ``batch``.
        predict_with: The network that validates and tests, ``student`` or ``teacher``.
        non_finite_loss: ``stop`` or ``skip`` an iteration whose losses or gradients are not finite.
        memory_format: Of the features that heads receive: ``contiguous``, ``channels_last``, ``keep`` as they come, or
            ``auto``: contiguous on a CPU, where the rest is slow, as they come on a GPU.
        pretrained: None; `mmseg.apis.init_model` passes it, and ``train_cfg``.
        train_cfg: None.
        test_cfg: None, or the config of a test loop, which MMSegmentation's `pytorch2torchscript.py` passes; how to
            predict is said in the segmentor's ``test_cfg``.
        decode_head: None, or ``dict(type=...)``, the type of the segmentor's head: MMSegmentation's `get_flops.py`
            looks for it at this place of the config. Nothing is built from it.

    Attributes:
        student: The trained segmentor.
        teacher: Its moving average.

    Raises:
        ValueError: If an argument is out of its range or the segmentor cannot be trained on pseudo-labels.
    """

    def __init__(
        self,
        segmentor: dict[str, Any],
        *,
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
        statistics = chosen_statistics(teacher_statistics, teacher_batch_statistics)
        super().__init__(
            segmentor, data_preprocessor, predict_with, teacher_momentum, statistics, non_finite_loss, memory_format
        )
        check_passed_on(pretrained, train_cfg, test_cfg, decode_head)
        check_settings(warmup_iterations, pseudo_label_threshold, pseudo_label_margins, quality_weight)
        self.self_training = class_mix is not None or masked_consistency is not None
        if predict_with == 'teacher' and self.teacher_statistics.uses_batches and not self.self_training:
            raise ValueError(
                "BatchStatistics need class_mix or masked_consistency to predict_with='teacher': "
                "set teacher_statistics=dict(type='StudentStatistics')"
            )
        self.class_mix = _build(class_mix)
        self.masked_consistency = _build(masked_consistency)
        self.strong_augmentation = _build(strong_augmentation)
        self.feature_distance = _build(feature_distance)
        if self.feature_distance is not None:
            _check_classes(self.feature_distance.classes, self.num_classes)
            self.feature_distance.start_from(self.student.backbone)
        self.target_loss = MODELS.build(target_loss or {'type': 'ForwardCorrectedCrossEntropyLoss'})
        self.warmup_iterations = warmup_iterations
        self._warm_up_is_over = False  # as far as was asked
        self.pseudo_label_threshold = pseudo_label_threshold
        self.pseudo_label_margins = pseudo_label_margins
        self.quality_weight = quality_weight

    def loss_branches(
        self, inputs: dict[str, Tensor], data_samples: dict[str, list[SegDataSample]]
    ) -> Generator[dict[str, Tensor], None, None]:
        """The losses of one iteration, one branch at a time; each holds a graph of its own.

        Args:
            inputs: ``source`` and ``target``, each (B, C, H, W), normalised.
            data_samples: ``source`` (with labels) and ``target``.

        Yields:
            Prefixed losses of a branch.
        """
        self_training = self.self_training and self._is_warm()
        yield self.source_branch(inputs['source'], data_samples['source'])
        if not (self_training or self.teacher_statistics.needs_target):
            return
        self.teacher_statistics.see_source(stacked_labels(data_samples['source']))
        teacher = self.label_target(inputs['target'], data_samples['target'])
        if not self_training:
            return
        yield {'target.pseudo_weight': teacher.pseudo.weight.mean()}
        yield from self.target_branches(inputs, data_samples, teacher)

    def _is_warm(self) -> bool:
        """Whether the warm-up is over; once it is, the counter is not read from the device again."""
        if not self._warm_up_is_over:
            self._warm_up_is_over = self.warmup_iterations is None or int(self.iteration) > self.warmup_iterations
        return self._warm_up_is_over

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._warm_up_is_over = False  # the checkpoint has another counter

    def source_branch(self, images: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Supervised losses of the source batch, with the segmentor's own heads and losses."""
        with recorded_features(self.student) as passes:
            losses = dict(self.student.loss(images, data_samples))
        if self.feature_distance is not None:
            labels = stacked_labels(data_samples)
            seen = passes[0]
            losses['loss_feature_distance'] = self.feature_distance(seen.images, seen.features[-1], labels)
        return dict(add_prefix(losses, 'source'))

    def target_branches(
        self,
        inputs: dict[str, Tensor],
        data_samples: dict[str, list[SegDataSample]],
        teacher: TeacherOutput,
    ) -> Generator[dict[str, Tensor], None, None]:
        """Losses on pseudo-labels, one branch at a time."""
        for batch in self.target_batches(inputs, data_samples, teacher):
            with self.target_statistics(batch):
                yield self.target_branch(batch, training_logits(self.student, batch.images))

    def target_batches(
        self,
        inputs: dict[str, Tensor],
        data_samples: dict[str, list[SegDataSample]],
        teacher: TeacherOutput,
    ) -> Iterator[TargetBatch]:
        """The batches that the student learns the target domain from."""
        target, (labels, weight, _) = inputs['target'], teacher.pseudo
        if self.class_mix is not None:
            source_labels = stacked_labels(data_samples['source'])
            mixed = self.class_mix(inputs['source'], source_labels, target, labels, weight, self.num_classes)
            images = self._augmented(mixed.images)
            yield TargetBatch(
                'mix', images, mixed.labels, mixed.weight, ~mixed.pasted, self.class_mix.loss_weight, True
            )
        if self.masked_consistency is not None:
            images = self.masked_consistency(self._augmented(target))
            consistency = self.masked_consistency
            yield TargetBatch(
                'masked', images, labels, weight, None, consistency.loss_weight, consistency.update_statistics
            )

    def target_statistics(self, batch: TargetBatch) -> AbstractContextManager[object]:
        """Context of the student's passes over a target batch, with what its batch norms do there.

        It lasts until the branch is back-propagated: layers with gradient checkpointing run a second time then.
        """
        return self.teacher_statistics.learning(self.teacher, self.student, update=batch.update_statistics)

    def target_branch(self, batch: TargetBatch, heads: list[HeadLogits]) -> dict[str, Tensor]:
        """Weighted target losses of all heads for one batch."""
        losses = {}
        for head in heads:
            loss = self.head_loss(head, batch, self.correction())
            losses[f'{batch.name}.{head.name}.{self.target_loss.loss_name}'] = loss
        return losses

    def head_loss(self, head: HeadLogits, batch: TargetBatch, transition: Tensor | None) -> Tensor:
        """Target loss of one head.

        Args:
            head: The head's logits.
            batch: The batch they were predicted for.
            transition: Shape (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``; None corrects nothing.

        Returns:
            Weighted scalar.
        """
        height, width = batch.images.shape[-2:]
        loss = self.target_loss(
            head.resized((height, width)),
            head.cropped(batch.labels),
            transition,
            transition_mask=None if batch.pseudo_labelled is None else head.cropped(batch.pseudo_labelled),
            weight=head.cropped(batch.weight),
        )
        weighted: Tensor = batch.loss_weight * head.loss_weight * loss
        return weighted

    def correction(self) -> Tensor | None:
        """Transition matrix that target losses are corrected with; None here: pseudo-labels are taken as true."""
        return None

    @torch.no_grad()
    def label_target(
        self, images: Tensor, data_samples: list[SegDataSample] | None = None, *, update_statistics: bool = True
    ) -> TeacherOutput:
        """Pseudo-labels of clean target images.

        Args:
            images: Normalised target images, shape (B, C, H, W).
            data_samples: Their meta data (padding); None if nothing is padded.
            update_statistics: Whether the images count in the teacher's statistics, as in training; False labels with
                the running ones, and leaves the teacher in evaluation mode.

        Returns:
            Labels, weights, logits and features.
        """
        statistics, valid = self.teacher_statistics, valid_pixels(images, data_samples)
        in_batches = update_statistics and statistics.uses_batches
        set_teacher_mode(self.teacher, self.student, batch_statistics=in_batches)

        def predict() -> Tensor:
            size = images.shape[-2:]
            metas = [{'img_shape': size, 'ori_shape': size, 'pad_shape': tuple(size)} for _ in images]
            logits = self.teacher.encode_decode(images, metas)
            resized: Tensor = resize(logits, size=size, mode='bilinear', align_corners=self.teacher.align_corners)
            return resized

        weights = None
        if update_statistics:
            weights = statistics.pixel_weights(self.teacher, self.student, predict, valid)
        with statistics.labelling(self.teacher, self.student, weights), recorded_features(self.teacher) as passes:
            logits = predict()
        pseudo = pseudo_labels(
            logits,
            threshold=self.pseudo_label_threshold,
            margins=self.pseudo_label_margins,
            per_image=self.quality_weight == 'image',
            valid=valid,
        )
        return TeacherOutput(pseudo, logits, passes[0].features, valid)

    def _augmented(self, images: Tensor) -> Tensor:
        if self.strong_augmentation is None:
            return images
        augmented: Tensor = self.strong_augmentation(images, self.data_preprocessor.mean, self.data_preprocessor.std)
        return augmented

    def init_weights(self) -> None:
        """Initialise the student; teacher and feature reference start as its copies."""
        self.student.init_weights()
        self.teacher.load_state_dict(self.student.state_dict())
        if self.feature_distance is not None:
            self.feature_distance.start_from(self.student.backbone)


def _check_classes(classes: tuple[int, ...], num_classes: int) -> None:
    unknown = [index for index in classes if index >= num_classes]
    if unknown:
        raise ValueError(
            f'feature_distance.classes has {unknown}: the segmentor has {num_classes} classes, 0 to {num_classes - 1}'
        )


def _build(config: dict[str, Any] | None) -> Any:
    return None if config is None else MODELS.build(config)
