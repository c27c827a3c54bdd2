"""Pairs that tools for plain data sets can show: both domains side by side."""

from __future__ import annotations

import os
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn.functional import pad

from dlc_mmseg.datasets.label_codes import IGNORED


class BrowsablePair(dict[str, Any]):
    """An item ``source``, ``target`` that also has ``inputs`` and ``data_samples``, made when they are asked for.

    MMSegmentation's `browse_dataset.py` draws these two of every item: the source left, the target right of it, with
    the labels of the source.
    """

    def __missing__(self, key: str) -> Any:
        """The joined picture, uint8 of shape (C, H, W), or its sample."""
        if key == 'inputs':
            return torch.cat([_filled(half, 0) for half in self._halves(_picture)], dim=-1)
        if key == 'data_samples':
            return self._sample()
        raise KeyError(key)

    def _halves(self, of: Any) -> list[Tensor]:
        """One tensor per domain, all of them padded to the height of the tallest."""
        halves = [of(self[domain]) for domain in ('source', 'target')]
        height = max(half.shape[-2] for half in halves)
        return [pad(half, (0, 0, 0, height - half.shape[-2]), value=-1) for half in halves]

    def _sample(self) -> SegDataSample:
        names = [os.path.basename(self[domain]['data_samples'].img_path) for domain in ('source', 'target')]
        sample = SegDataSample(metainfo={'img_path': f'{os.path.splitext(names[0])[0]} {names[1]}'})
        labels = torch.cat([_filled(half, IGNORED) for half in self._halves(_labels)], dim=-1)
        sample.gt_sem_seg = PixelData(data=labels)
        return sample


def _picture(item: dict[str, Any]) -> Tensor:
    image: Tensor = item['inputs']
    if image.dtype != torch.uint8:
        values = image.float()
        low, high = values.min(), values.max()
        image = (values - low) / (high - low).clamp(min=1e-12) * 255
    return image.to(torch.int16)


def _labels(item: dict[str, Any]) -> Tensor:
    sample = item['data_samples']
    if 'gt_sem_seg' in sample:
        labels: Tensor = sample.gt_sem_seg.data
        return labels.to(torch.int16)
    return torch.full((1, *item['inputs'].shape[-2:]), -1, dtype=torch.int16)


def _filled(half: Tensor, value: int) -> Tensor:
    """As uint8, with a value where there is nothing."""
    return half.where(half >= 0, value).to(torch.uint8)
