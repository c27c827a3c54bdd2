"""A segmentor that wraps a student and its teacher, and predicts with one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from dlc_mmseg.models.nodata import nodata_of
from dlc_mmseg.models.segmentors.feature_format import FeatureFormat, convert_features
from dlc_mmseg.models.segmentors.head_logits import check_segmentor
from dlc_mmseg.models.segmentors.loading import accept_plain_checkpoint, keep_whole_state
from dlc_mmseg.models.segmentors.sliding import slide_linearly
from dlc_mmseg.models.segmentors.teacher import make_teacher


class WrappingSegmentor(BaseSegmentor):
    """Student and teacher of one structure behind the interface of a single segmentor.

    Both slide over images with `slide_inference` of this package instead of MMSegmentation's: the same logits in time
    that is linear in the image.

    Args:
        segmentor: Config of the segmentor, an EncoderDecoder or subclass. Its ``test_cfg`` may say
            ``window_batch_size`` and ``canvas_device`` beside what MMSegmentation reads, see `SlideSettings`.
        data_preprocessor: Config of the preprocessor.
        predict_with: The network that validates and tests, ``student`` or ``teacher``.
        memory_format: Memory format of the features that heads receive, see `ConvertFeatures`.

    Attributes:
        student: The trained segmentor.
        teacher: Its moving average.
        num_classes: Number of classes K.

    Raises:
        ValueError: If ``predict_with`` or ``memory_format`` is no choice, the segmentor cannot be trained on
            pseudo-labels, or its sliding windows make no sense.
    """

    student: EncoderDecoder
    teacher: EncoderDecoder

    def __init__(
        self,
        segmentor: dict[str, Any],
        data_preprocessor: dict[str, Any] | None,
        predict_with: Literal['student', 'teacher'],
        memory_format: FeatureFormat,
    ) -> None:
        if isinstance(data_preprocessor, dict):  # MMEngine looks in its own registry unless a Runner set the scope
            data_preprocessor = MODELS.build(data_preprocessor)
        super().__init__(data_preprocessor=data_preprocessor)
        if predict_with not in ('student', 'teacher'):
            raise ValueError(f"predict_with is {predict_with!r}: choose 'student' or 'teacher'")
        self.student = MODELS.build(segmentor)
        keep_whole_state(self.student)
        self.num_classes = check_segmentor(self.student)
        convert_features(self.student, memory_format)
        slide_linearly(self.student)
        self.teacher = make_teacher(self.student)
        self.predict_with = predict_with
        accept_plain_checkpoint(self)

    @property
    def inference_network(self) -> EncoderDecoder:
        """The network that validates and tests."""
        return self.teacher if self.predict_with == 'teacher' else self.student

    @property
    def decode_head(self) -> nn.Module:
        """The inference network's decode head, as MMSegmentation's test-time augmentation asks for it."""
        head: nn.Module = self.inference_network.decode_head
        return head

    @property
    def out_channels(self) -> int:
        """Channels of the inference network's logits."""
        return int(self.inference_network.out_channels)

    @property
    def align_corners(self) -> bool:
        """Whether the inference network aligns corners when it resizes."""
        return bool(self.inference_network.align_corners)

    def predict(self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None) -> list[SegDataSample]:
        """Segment images as the wrapped segmentor's ``test_cfg`` says.

        Args:
            inputs: Normalised images, shape (B, C, H, W).
            data_samples: Their meta data; None if nothing was done to them.

        Returns:
            The samples with their predictions; pixels without data (``nodata_map``) are 255, which is no class.
        """
        samples = list(self.inference_network.predict(inputs, data_samples))
        for sample in samples:
            if 'nodata_map' in sample:
                labels = sample.pred_sem_seg.get('data')
                sample.pred_sem_seg.set_field(labels.masked_fill(nodata_of(sample, labels.shape[1:]), 255), 'data')
        return samples

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]  # bool in mmseg
        """Features of the inference network for images of shape (B, C, H, W)."""
        return tuple(self.inference_network.extract_feat(inputs))

    def encode_decode(self, inputs: Tensor, batch_data_samples: Sequence[Any]) -> Tensor:
        """Logits (B, K, H, W) of the inference network for images (B, C, H, W) with their meta data (dicts)."""
        logits: Tensor = self.inference_network.encode_decode(inputs, list(batch_data_samples))
        return logits

    def _forward(self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None) -> Any:
        """Raw head output, for FLOP counting and export."""
        return self.inference_network._forward(inputs, data_samples)

    def forward_dummy(self, inputs: Tensor) -> Tensor:
        """Logits (B, K, H, W) of images (B, C, H, W), for MMSegmentation's `pytorch2torchscript.py`.

        MMSegmentation 1.x has the method for none of its own segmentors, so that its tool fails with them.
        """
        logits = self.inference_network._forward(inputs)
        resized: Tensor = resize(logits, size=inputs.shape[2:], mode='bilinear', align_corners=self.align_corners)
        return resized
