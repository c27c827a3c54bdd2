"""Pixels without data, as pipelines mark them in samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample
from torch import Tensor


def nodata_of(sample: SegDataSample | Mapping[str, Any], size: Sequence[int]) -> Tensor:
    """Pixels of a map that show no data.

    Args:
        sample: With ``nodata_map`` (see `PackRasterInputs`) if there are such pixels; or its ``to_dict()``.
        size: Height and width of the map, which may differ from the network's input where the image was resized.

    Returns:
        Shape (H, W), bool, where the sample lies.
    """
    if 'nodata_map' not in sample:
        return torch.zeros(*size, dtype=torch.bool)
    pixels: Any = sample.get('nodata_map')
    nodata: Tensor = pixels.get('data')[0].bool()
    if nodata.shape == tuple(size):
        return nodata
    resized: Tensor = resize(nodata[None, None].float(), size=tuple(size))[0, 0] > 0
    return resized
