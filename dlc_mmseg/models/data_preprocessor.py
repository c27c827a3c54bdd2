"""Normalisation and stacking of batches that hold a source and a target half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.registry import MODELS
from torch import Tensor

from dlc_mmseg.errors import UserError


@MODELS.register_module()
class PairedDomainDataPreprocessor(SegDataPreProcessor):
    """`SegDataPreProcessor` for the batches of `PairedDomainDataset`; one-domain batches pass as usual.

    Other than its parent it takes any number of channels. Both domains share one mean and standard deviation,
    because mixed images hold pixels of both.

    Args:
        mean: Mean of each channel, on the scale of the stored images; one value serves all channels.
        std: Standard deviation of each channel, likewise.
        size: Height and width that smaller training images are padded to.
        size_divisor: Training images are padded to a multiple of this; by default to the largest of the batch.
        pad_val: Value of padded pixels after normalisation.
        seg_pad_val: Label of padded pixels.
        bgr_to_rgb: Whether three-channel images are turned from BGR to RGB.
        rgb_to_bgr: The reverse.
        test_cfg: Padding at test time, see `SegDataPreProcessor`.

    Raises:
        ValueError: If ``mean`` and ``std`` are empty, differ in length, or a ``std`` is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        size: tuple[int, int] | None = None,
        size_divisor: int | None = None,
        pad_val: float = 0.0,
        seg_pad_val: int = 255,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        test_cfg: dict[str, Any] | None = None,
    ) -> None:
        if len(mean) != len(std) or not mean:
            raise ValueError(f'mean has {len(mean)} and std {len(std)} values: give one of each per channel')
        if min(std) <= 0:
            raise ValueError(f'std is {list(std)}: give positive values')
        super().__init__(
            size=size,
            size_divisor=1 if size is None and size_divisor is None else size_divisor,
            pad_val=pad_val,  # type: ignore[arg-type]  # numbers.Number, which no float is to a checker
            seg_pad_val=seg_pad_val,  # type: ignore[arg-type]
            bgr_to_rgb=bgr_to_rgb,
            rgb_to_bgr=rgb_to_bgr,
            test_cfg=test_cfg,  # type: ignore[arg-type]  # None is the default there as well
        )
        # the parent's own statistics are limited to one or three channels
        self._enable_normalize = True
        self.register_buffer('mean', torch.tensor(list(mean), dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(list(std), dtype=torch.float32).view(-1, 1, 1), persistent=False)

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Normalise and stack a batch.

        Args:
            data: Either ``inputs`` and ``data_samples``, or in training ``source`` and ``target``, each with
                ``inputs`` (list of (C, H, W) images) and ``data_samples``.
            training: Whether the batch is trained on.

        Returns:
            ``inputs`` and ``data_samples``; for paired batches each is a dict with the keys source and target:
            inputs (B, C, H, W), data_samples a list of B.

        Raises:
            UserError: If channels do not fit the statistics, or the two halves of a batch differ in shape.
        """
        if 'source' not in data:
            self._check_channels('test', data)
            return super().forward(data, training)
        halves = {}
        for domain in ('source', 'target'):
            self._check_channels(domain, data[domain])
            halves[domain] = super().forward(data[domain], training)
        source, target = (tuple(halves[domain]['inputs'].shape) for domain in ('source', 'target'))
        if source != target:
            raise UserError(
                None,
                f'source batch {source} and target batch {target} (B, C, H, W) differ',
                'end both pipelines with a RandomCrop of one crop_size, and set data_preprocessor.size to it if some '
                'tiles are smaller',
            )
        return {
            'inputs': {domain: half['inputs'] for domain, half in halves.items()},
            'data_samples': {domain: half['data_samples'] for domain, half in halves.items()},
        }

    def _check_channels(self, domain: str, data: dict[str, Any]) -> None:
        channels = {int(image.shape[0]) for image in data['inputs']}
        expected = len(self.mean)
        if expected != 1 and channels != {expected}:
            raise UserError(
                'data_preprocessor.mean',
                f'has {expected} values but {domain} images have {sorted(channels)} channels',
                'give one mean and one std value per channel',
            )
