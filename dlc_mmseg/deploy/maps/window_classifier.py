"""Class probabilities of windows, by any MMSegmentation segmentor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal

import torch
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.errors import UserError
from dlc_mmseg.models.segmentors.wrapping import WrappingSegmentor
from dlc_mmseg.models.stored_scores import probabilities, stored_scores

Averaging = Literal['none', 'flips', 'd4']
_ORIENTATIONS: dict[str, list[tuple[int, bool]]] = {
    'none': [(0, False)],
    'flips': [(0, False), (0, True), (2, False), (2, True)],
    'd4': [(turns, flipped) for flipped in (False, True) for turns in range(4)],
}
"""Quarter turns, and whether the image is mirrored before."""


class WindowClassifier:
    """A model that says of each pixel of a window how probable the classes are.

    Args:
        model: Any segmentor, in evaluation mode on its device; of one of ours the network that predicts is taken.
        amp: Compute in float16, on a CPU in bfloat16.
        averaging: Orientations whose predictions are averaged: ``none`` takes the image as it lies, ``flips`` its four
            mirror images, ``d4`` all eight orientations of a square.

    Attributes:
        num_classes: Number of classes K.
        calibrated: Whether scores are known to stand for probabilities.

    Raises:
        ValueError: If the averaging is unknown.
    """

    def __init__(self, model: BaseSegmentor, *, amp: bool = False, averaging: Averaging = 'none') -> None:
        if averaging not in _ORIENTATIONS:
            raise ValueError(f"averaging is {averaging!r}: choose 'none', 'flips' or 'd4'")
        self._preprocessor = model.data_preprocessor
        self._network: Any = model.inference_network if isinstance(model, WrappingSegmentor) else model
        self._kind = stored_scores(model)
        self._amp = amp
        self._orientations = _ORIENTATIONS[averaging]
        channels = int(getattr(self._network, 'out_channels', 0) or getattr(self._network, 'num_classes', 0))
        self.single = channels == 1
        self.num_classes = 2 if self.single else channels
        self.calibrated = self._kind != 'unknown'
        self._device = next(model.parameters()).device

    @property
    def channels(self) -> int | None:
        """Channels that the data preprocessor normalises one by one; None takes any number."""
        mean = getattr(self._preprocessor, 'mean', None)
        return int(mean.numel()) if isinstance(mean, Tensor) and mean.numel() > 1 else None

    @property
    def threshold(self) -> float:
        """Probability of class 1 of two above which a pixel gets it."""
        head = getattr(self._network, 'decode_head', None)
        head = head[-1] if isinstance(head, torch.nn.ModuleList) else head
        return float(getattr(head, 'threshold', None) or 0.5) if self.single else 0.5

    @torch.no_grad()
    def __call__(self, images: Tensor, nodata: Tensor) -> Tensor:
        """Classify windows.

        Args:
            images: Shape (B, C, h, w), values as pipelines deliver them.
            nodata: Shape (B, h, w), bool; these pixels reach the network with the value of padding.

        Returns:
            Shape (B, K, h, w), float32, on the model's device; sums to 1 over the classes where `calibrated`.

        Raises:
            UserError: If the images' channels do not fit the model.
        """
        normalised = self._normalised(images.to(self._device), nodata.to(self._device))
        total: Tensor | None = None
        for turns, flipped in self._orientations:
            oriented = normalised.flip(3) if flipped else normalised
            oriented = oriented.rot90(turns, (2, 3)) if turns else oriented
            scores = self._probabilities(oriented.contiguous())
            scores = scores.rot90(-turns, (2, 3)) if turns else scores
            scores = scores.flip(3) if flipped else scores
            total = scores if total is None else total + scores
        assert total is not None
        height, width = images.shape[2:]  # the preprocessor may have padded
        return total[:, :, :height, :width] / len(self._orientations)

    def decide(self, scores: Tensor) -> Tensor:
        """Most probable class of each pixel.

        Args:
            scores: What windows were blended to, shape (K, h, w).

        Returns:
            Shape (h, w), int64.
        """
        return (scores[1] > self.threshold).long() if self.single else scores.argmax(0)

    def _normalised(self, images: Tensor, nodata: Tensor) -> Tensor:
        height, width = images.shape[2:]
        floats = [torch.where(hole, torch.zeros_like(image), image) for image, hole in zip(images, nodata, strict=True)]
        samples = [SegDataSample(metainfo=_meta((height, width))) for _ in floats]
        try:
            batch = self._preprocessor({'inputs': floats, 'data_samples': samples}, False)
        except RuntimeError as error:
            if 'size of tensor' not in str(error):
                raise
            what = f'has {images.shape[1]} channels, which the model does not take'
            raise UserError('image', what, 'choose its bands with --bands') from error
        inputs: Tensor = batch['inputs']
        fill = float(getattr(self._preprocessor, 'pad_val', 0) or 0)
        inputs[:, :, :height, :width].masked_fill_(nodata[:, None], fill)
        return inputs

    def _probabilities(self, inputs: Tensor) -> Tensor:
        kind = self._device.type
        dtype = torch.bfloat16 if kind == 'cpu' else torch.float16
        with torch.autocast(kind, dtype) if self._amp else nullcontext():
            scores = self._scores(inputs)
        scores = scores.float()
        if self.single:
            scores = scores.sigmoid()
        elif not self.calibrated:
            return scores
        return torch.stack([probabilities(score, self._kind) for score in scores])

    def _scores(self, inputs: Tensor) -> Tensor:
        """Scores (B, K, h, w) of normalised windows, without the network's own sliding."""
        size = inputs.shape[2:]
        metas = [_meta(size) for _ in inputs]
        if hasattr(self._network, 'encode_decode'):
            scores: Tensor = self._network.encode_decode(inputs, metas)
        else:
            samples: Sequence[Any] = self._network.predict(inputs, [SegDataSample(metainfo=meta) for meta in metas])
            scores = torch.stack([sample.seg_logits.data for sample in samples])
        if scores.shape[2:] == size:
            return scores
        align = bool(getattr(self._network, 'align_corners', False))
        resized: Tensor = resize(scores, size=tuple(size), mode='bilinear', align_corners=align)
        return resized


def _meta(size: Sequence[int]) -> dict[str, Any]:
    """Meta data of a window; heads take its size from ``img_shape`` only where that is a torch.Size."""
    return {'img_shape': torch.Size(size), 'ori_shape': tuple(size), 'pad_shape': tuple(size)}
