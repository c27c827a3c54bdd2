"""HRDA: a whole image at a coarse scale, details at a fine one, fused by an attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from mmseg.utils import add_prefix
from torch import Tensor, nn

from dlc_mmseg.functional.windows import Box, random_box, sliding_windows
from dlc_mmseg.models.decode_heads.detail_canvas import DetailCanvas, stitch
from dlc_mmseg.models.decode_heads.hrda_head import HRDAHead
from dlc_mmseg.models.segmentors.head_logits import HeadLogits


class _Output(NamedTuple):
    """Training logits of one scale, their share of the loss and the region they cover (None: all)."""

    name: str
    logits: Tensor
    share: float
    box: Box | None


@MODELS.register_module()
class HRDAEncoderDecoder(EncoderDecoder):
    """Segments at two scales with one network (Hoyer et al., HRDA, ECCV 2022).

    Context: the whole image at ``scales[0]``. Detail: in training one random crop at ``scales[1]``, at test
    time overlapping windows (stride half a crop) over the whole image, averaged. Both go through the same
    backbone and head; `HRDAHead` fuses them. The loss is ``(1 - w) * fused + w * detail`` with
    ``w = detail_loss_weight``.

    Images of any size: those not divisible by ``offset_divisor``, or smaller than ``min_size``, are padded by
    repeating their last row and column, and the logits cut back; those smaller than the crop have one window
    of their own size.

    Args:
        backbone: Backbone config.
        decode_head: Config of an `HRDAHead`.
        crop_size: Height and width of a detail crop or window in pixels of the *input* image.
        scales: Scale of the context and of the detail, in (0, inf), context <= detail.
        detail_loss_weight: Share w of the detail loss, in [0, 1).
        offset_divisor: Crop offsets are multiples of this. Where a feature cell of either scale divides it (8
            for scales 0.5 and 1 at stride 4), crops fall on whole cells; otherwise cells are rounded.
        min_size: Least side in pixels that the network sees: 64 lets MiT's first stage (reduction 8 on stride
            4) work at scale 0.5.
        detail_batch_size: Most windows of all images that go through the network at once at test time; a teacher
            with batch statistics normalises over these (all of them in the published setting: 72).
        neck: Neck config.
        auxiliary_head: Must be None: HRDA has no auxiliary head.
        train_cfg: As in any MMSegmentation segmentor.
        test_cfg: As in any MMSegmentation segmentor, ``mode`` ``whole`` or ``slide``.
        data_preprocessor: Preprocessor config.
        pretrained: As in any MMSegmentation segmentor.
        init_cfg: Initialisation config.

    Raises:
        ValueError: If an argument is out of its range or the decode head is no `HRDAHead`.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        decode_head: dict[str, Any],
        *,
        crop_size: Sequence[int],
        scales: Sequence[float] = (0.5, 1.0),
        detail_loss_weight: float = 0.1,
        offset_divisor: int = 8,
        min_size: int = 64,
        detail_batch_size: int = 128,
        neck: dict[str, Any] | None = None,
        auxiliary_head: None = None,
        train_cfg: dict[str, Any] | None = None,
        test_cfg: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        pretrained: str | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if auxiliary_head is not None:
            raise ValueError('auxiliary_head must be None: HRDA has no auxiliary head')
        _check(crop_size, scales, detail_loss_weight)
        for name, value in (
            ('offset_divisor', offset_divisor),
            ('min_size', min_size),
            ('detail_batch_size', detail_batch_size),
        ):
            if value < 1:
                raise ValueError(f'{name} must be at least 1, got {value}')
        super().__init__(
            backbone=backbone,
            decode_head=decode_head,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            pretrained=pretrained,
            init_cfg=init_cfg,
        )
        if not isinstance(self.decode_head, HRDAHead):
            raise ValueError(f'decode_head must be an HRDAHead, got {type(self.decode_head).__name__}')
        self.crop_size = (int(crop_size[0]), int(crop_size[1]))
        self.context_scale, self.detail_scale = (float(scale) for scale in scales)
        self.detail_loss_weight = detail_loss_weight
        self.offset_divisor = offset_divisor
        self.min_size = min_size
        self.detail_batch_size = detail_batch_size

    # ---- training --------------------------------------------------------------------------------

    def training_logits(self, inputs: Tensor, box: Box | None = None) -> list[HeadLogits]:
        """Fused logits and logits of one detail crop, with gradients.

        Args:
            inputs: Normalised images, shape (B, C, H, W).
            box: The detail crop in pixels of the input; None draws one from torch's default CPU generator.

        Returns:
            ``decode`` (fused) and, where its loss has a weight, ``detail`` with its box.
        """
        losses = self.decode_head.loss_decode
        losses = list(losses) if isinstance(losses, nn.ModuleList) else [losses]
        weight = sum(float(getattr(loss, 'loss_weight', 1.0)) for loss in losses)
        return [
            HeadLogits(name, logits, share * weight, bool(self.align_corners), region)
            for name, logits, share, region in self._training_outputs(inputs, box)
        ]

    def loss(self, inputs: Tensor, data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Supervised losses of both scales, with the losses of the shared head.

        Args:
            inputs: Normalised images, shape (B, C, H, W).
            data_samples: Labels of the size of the images.

        Returns:
            ``decode.*`` (fused) and ``detail.*`` losses and accuracies.
        """
        losses: dict[str, Tensor] = {}
        for output in self._training_outputs(inputs, None):
            terms = self.decode_head.head.loss_by_feat(output.logits, _cropped(data_samples, output.box))
            weighted = {key: value * output.share if 'loss' in key else value for key, value in terms.items()}
            losses.update(add_prefix(weighted, output.name))
        return losses

    def _training_outputs(self, inputs: Tensor, box: Box | None) -> list[_Output]:
        """Fused logits and, where it has a loss, those of the detail crop."""
        images, size = self._padded(inputs), inputs.shape[-2:]
        frame = (int(images.shape[-2]), int(images.shape[-1]))
        if box is None:
            box = random_box(self._shown(size, frame), self.crop_size, divisible_by=self.offset_divisor)
        if not (0 <= box.top < box.bottom <= frame[0] and 0 <= box.left < box.right <= frame[1]):
            raise ValueError(f'box {tuple(box)} does not lie in the image of {tuple(size)} pixels')
        context = self.decode_head.view_context(self.extract_feat(inputs))
        detail = self._detail_logits(images, [box])
        fused = self.decode_head(context, stitch(detail, [box], frame))
        outputs = [self._output('decode', fused, Box(0, 0, *frame), size, 1 - self.detail_loss_weight)]
        if self.detail_loss_weight > 0:
            outputs.append(self._output('detail', detail, box, size, self.detail_loss_weight))
        return outputs

    def _output(self, name: str, logits: Tensor, box: Box, size: Sequence[int], share: float) -> _Output:
        """Logits without the part that covers padding."""
        inside = Box(box.top, box.left, min(box.bottom, size[0]), min(box.right, size[1]))
        if inside != box:
            logits = self._resize(logits, (box.height, box.width))[..., : inside.height, : inside.width]
        return _Output(name, logits, share, None if inside == Box(0, 0, *size) else inside)

    # ---- inference -------------------------------------------------------------------------------

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:  # type: ignore[override]
        """Features of whole images at the context scale; those of details do not pass through here.

        Args:
            inputs: Normalised images, shape (B, C, H, W).

        Returns:
            Levels of shape (B, C_i, h_i, w_i), finest first.
        """
        return self._features(self._padded(inputs), self.context_scale)

    def encode_decode(  # type: ignore[override]
        self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]
    ) -> Tensor:
        """Logits of whole images, details from overlapping windows.

        Args:
            inputs: Normalised images, shape (B, C, H, W), of any size.
            batch_img_metas: Not used; part of the interface.

        Returns:
            Shape (B, K, H, W).
        """
        context = self.decode_head.view_context(self.extract_feat(inputs))
        images = self._padded(inputs)
        fused: Tensor = self.decode_head(context, self._detail_canvas(images))
        height, width = inputs.shape[-2:]
        return self._resize(fused, images.shape[-2:])[..., :height, :width]

    def _forward(  # type: ignore[override]
        self, inputs: Tensor, data_samples: Sequence[SegDataSample] | None = None
    ) -> Tensor:
        """Logits of the size of the images, for FLOP counting and export."""
        return self.encode_decode(inputs, [])

    def _detail_canvas(self, images: Tensor) -> DetailCanvas:
        """Averaged detail logits of overlapping windows over the whole images."""
        frame = (int(images.shape[-2]), int(images.shape[-1]))
        stride = (max(self.crop_size[0] // 2, 1), max(self.crop_size[1] // 2, 1))
        windows = sliding_windows(frame, self.crop_size, stride)
        step = max(self.detail_batch_size // images.shape[0], 1)
        chunks = [windows[start : start + step] for start in range(0, len(windows), step)]
        return stitch(torch.cat([self._detail_logits(images, chunk) for chunk in chunks]), windows, frame)

    # ---- both ------------------------------------------------------------------------------------

    def _detail_logits(self, images: Tensor, windows: Sequence[Box]) -> Tensor:
        """Head logits (N * B, K, h, w) of N equally large windows of the images, window after window."""
        crops = torch.cat([images[:, :, rows, columns] for rows, columns in (box.slices for box in windows)])
        logits: Tensor = self.decode_head.head(self._features(crops, self.detail_scale))
        return logits

    def _features(self, images: Tensor, scale: float) -> Sequence[Tensor]:
        if scale != 1:
            height, width = images.shape[-2:]
            images = self._resize(images, (max(round(height * scale), 1), max(round(width * scale), 1)))
        features: Sequence[Tensor] = super().extract_feat(images)
        return features

    def _padded(self, images: Tensor) -> Tensor:
        """Images whose sides are multiples of the offsets' divisor, last rows and columns repeated."""
        height, width = images.shape[-2:]
        divisor = self.offset_divisor
        bottom, right = (-(-max(side, self.min_size) // divisor) * divisor - side for side in (height, width))
        return F.pad(images, (0, right, 0, bottom), mode='replicate') if bottom or right else images

    def _shown(self, size: Sequence[int], frame: tuple[int, int]) -> tuple[int, int]:
        """Height and width within which a crop, wherever it lies, shows a part of the image; padding lies beyond."""
        divisor = self.offset_divisor
        height, width = (
            max(-(-side // divisor) * divisor, min(crop, whole))
            for side, crop, whole in zip(size, self.crop_size, frame, strict=True)
        )
        return height, width

    def _resize(self, maps: Tensor, size: Sequence[int]) -> Tensor:
        return F.interpolate(maps, tuple(size), mode='bilinear', align_corners=self.align_corners)


def _cropped(data_samples: Sequence[SegDataSample], box: Box | None) -> Sequence[SegDataSample]:
    """Labels of the region that logits cover."""
    if box is None:
        return data_samples
    rows, columns = box.slices
    labels: list[Tensor] = [sample.gt_sem_seg.get('data')[:, rows, columns] for sample in data_samples]
    return [SegDataSample(gt_sem_seg=PixelData(data=data)) for data in labels]


def _check(crop_size: Sequence[int], scales: Sequence[float], detail_loss_weight: float) -> None:
    if len(crop_size) != 2 or min(crop_size) < 1:
        raise ValueError(f'crop_size must be a height and a width >= 1 in pixels, got {crop_size}')
    if len(scales) != 2 or not 0 < scales[0] <= scales[1]:
        raise ValueError(f'scales must be (context, detail) with 0 < context <= detail, got {scales}')
    if not 0 <= detail_loss_weight < 1:
        raise ValueError(f'detail_loss_weight must lie in [0, 1), got {detail_loss_weight}')
