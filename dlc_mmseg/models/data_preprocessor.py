"""Normalisation and stacking of batches that hold a source and a target half."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from mmengine.logging import print_log
from mmseg.models.data_preprocessor import SegDataPreProcessor
from mmseg.registry import MODELS
from torch import Tensor

from dlc_mmseg.errors import UserError


@MODELS.register_module()
class PairedDomainDataPreprocessor(SegDataPreProcessor):
    """`SegDataPreProcessor` for the batches of `PairedDomainDataset`; one-domain batches pass as usual.

    Other than its parent it takes any number of channels, and gives pixels without data (``nodata_map`` of a sample,
    see `PackRasterInputs`) the value of padding. Both domains share one mean and standard deviation, because mixed
    images hold pixels of both.

    Args:
        mean: Mean of each channel, on the scale of the stored images; one value serves all channels. In the order in
            which channels come after ``bgr_to_rgb``. ``auto``: `BandStatisticsHook` finds both when training starts;
            checkpoints carry them.
        std: Standard deviation of each channel, likewise.
        size: Height and width that smaller training images are padded to.
        size_divisor: Training images are padded to a multiple of this; by default to the largest of the batch.
        pad_val: Value of padded pixels after normalisation.
        seg_pad_val: Label of padded pixels.
        bgr_to_rgb: Whether three-channel images are turned from BGR to RGB.
        rgb_to_bgr: The reverse.
        test_cfg: Padding at test time, see `SegDataPreProcessor`.

    Raises:
        ValueError: If ``mean`` and ``std`` are empty, differ in length, a ``std`` is not positive, or only one of the
            two is ``auto``.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        mean: Sequence[float] | Literal['auto'],
        std: Sequence[float] | Literal['auto'],
        size: tuple[int, int] | None = None,
        size_divisor: int | None = None,
        pad_val: float = 0.0,
        seg_pad_val: int = 255,
        bgr_to_rgb: bool = False,
        rgb_to_bgr: bool = False,
        test_cfg: dict[str, Any] | None = None,
    ) -> None:
        self.automatic = mean == 'auto' and std == 'auto'
        if not self.automatic:
            _check_statistics(mean, std)
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
        for name, values in (('mean', mean), ('std', std)):
            buffer = torch.zeros(0, 1, 1) if self.automatic else _per_channel(values)
            self.register_buffer(name, buffer, persistent=self.automatic)

    @property
    def knows_statistics(self) -> bool:
        """Whether mean and standard deviation are there: given, set, or loaded."""
        return self.mean.numel() > 0

    def set_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set what ``auto`` stands for.

        Args:
            mean: Mean of each channel, in the order after ``bgr_to_rgb``.
            std: Standard deviation of each channel, likewise.

        Raises:
            ValueError: If both are empty, differ in length, or a ``std`` is not positive.
        """
        _check_statistics(mean, std)
        self.mean = _per_channel(mean).to(self.mean.device)
        self.std = _per_channel(std).to(self.std.device)

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
            UserError: If channels do not fit the statistics, these are not known, or the two halves of a batch differ
                in shape.
        """
        if not self.knows_statistics:
            remedy = (
                'load a checkpoint of a run with BandStatisticsHook among its default_hooks, or give the numbers that '
                '`dlc-mmseg band-statistics` prints'
            )
            raise UserError('model.data_preprocessor.mean', "is 'auto', and nothing has set it", remedy)
        if 'source' not in data:
            return self._normalised(data, 'test', training)
        halves = {}
        for domain in ('source', 'target'):
            halves[domain] = self._normalised(data[domain], domain, training)
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

    def _normalised(self, data: dict[str, Any], domain: str, training: bool) -> dict[str, Any]:
        """A batch of one domain as the parent gives it, with the value of padding where there is no data."""
        self._check_channels(domain, data)
        # torch lacks operations for uint16 on some devices
        images = [image if image.dtype == torch.uint8 else image.float() for image in data['inputs']]
        batch: dict[str, Any] = super().forward({**data, 'inputs': images}, training)
        for image, sample in zip(batch['inputs'], batch['data_samples'] or [], strict=False):
            if sample is not None and 'nodata_map' in sample:
                nodata = sample.get('nodata_map').get('data')[0]
                image[:, : nodata.shape[0], : nodata.shape[1]].masked_fill_(nodata, self.pad_val)
        return batch

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Take statistics from a checkpoint where they are ``auto``; stated ones stay."""
        stored = {name: state_dict.get(f'{prefix}{name}') for name in ('mean', 'std')}
        if self.automatic:
            for name, value in stored.items():
                if value is not None:
                    setattr(self, name, torch.empty_like(value, device=getattr(self, name).device))
                else:  # of a run without them
                    state_dict[f'{prefix}{name}'] = getattr(self, name)
        else:
            for name, value in stored.items():
                given = getattr(self, name)
                if value is not None and not (value.shape == given.shape and torch.allclose(value.to(given), given)):
                    what = f'{name} {value.flatten().tolist()} of the checkpoint gives way to the {name} of the config'
                    print_log(f'data_preprocessor: {what}', logger='current', level=logging.WARNING)
                state_dict.pop(f'{prefix}{name}', None)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check_channels(self, domain: str, data: dict[str, Any]) -> None:
        channels = {int(image.shape[0]) for image in data['inputs']}
        expected = len(self.mean)
        if expected != 1 and channels != {expected}:
            raise UserError(
                'data_preprocessor.mean',
                f'has {expected} values but {domain} images have {sorted(channels)} channels',
                'give one mean and one std value per channel',
            )


def _check_statistics(mean: Sequence[float] | str, std: Sequence[float] | str) -> None:
    if isinstance(mean, str) or isinstance(std, str):
        raise ValueError(f"mean is {mean!r} and std {std!r}: give one number of each per channel, or 'auto' for both")
    if len(mean) != len(std) or not len(mean):
        raise ValueError(f'mean has {len(mean)} and std {len(std)} values: give one of each per channel')
    if not all(map(math.isfinite, mean)):
        raise ValueError(f'mean is {list(mean)}: give finite values')
    if not all(0 < value < math.inf for value in std):
        raise ValueError(f'std is {list(std)}: give positive, finite values')


def _per_channel(values: Sequence[float] | str) -> Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float32).view(-1, 1, 1)
