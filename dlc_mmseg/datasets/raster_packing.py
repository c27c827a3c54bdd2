"""Packing rasters with the pixels that hold no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms.formatting import PackSegInputs
from mmseg.registry import TRANSFORMS

from dlc_mmseg.datasets.raster_loading import NODATA_MAP, LoadRasterFromFile
from dlc_mmseg.errors import UserError


@TRANSFORMS.register_module()
class PackRasterInputs(PackSegInputs):
    """`PackSegInputs` that hands on which pixels hold no data.

    Labels there become ``ignore_index``; the sample gets a ``nodata_map`` (`PixelData`, shape (1, H, W), bool) if there
    are such pixels.

    Args:
        meta_keys: As in `PackSegInputs`; None takes its own.
        ignore_index: Label of pixels without data.

    Raises:
        ValueError: If ``ignore_index`` is no label.
    """

    def __init__(self, meta_keys: Sequence[str] | None = None, ignore_index: int = 255) -> None:
        options = {} if meta_keys is None else {'meta_keys': tuple(meta_keys)}
        super().__init__(**options)  # type: ignore[no-untyped-call]
        if not isinstance(ignore_index, int) or ignore_index < 0:
            raise ValueError(f'ignore_index is {ignore_index}: give the label of pixels that are ignored, such as 255')
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack.

        Args:
            results: What the pipeline made.

        Returns:
            ``inputs`` (C, H, W) and ``data_samples``.

        Raises:
            UserError: If a step changed the size of the image, but not of its nodata map.
        """
        nodata = results.get(NODATA_MAP)
        if nodata is None or not nodata.any():
            return dict(super().transform(results))
        if nodata.shape[:2] != results['img'].shape[:2]:
            what = f'is {nodata.shape[:2]} where the image is {results["img"].shape[:2]} (height, width)'
            remedy = 'leave out steps that crop or pad images without their seg_fields (CenterCrop, Pad, Albu)'
            raise UserError(results.get('img_path', NODATA_MAP), f'its nodata map {what}', remedy)
        labels = results.get('gt_seg_map')
        if labels is not None:
            there = nodata
            if nodata.shape != labels.shape[:2]:  # test pipelines resize the image, not the labels
                height, width = labels.shape[:2]
                there = cv2.resize(nodata, (width, height), interpolation=cv2.INTER_NEAREST)
            results['gt_seg_map'] = np.where(there > 0, np.asarray(self.ignore_index, labels.dtype), labels)
        packed = dict(super().transform(results))
        packed['data_samples'].set_data({'nodata_map': PixelData(data=torch.from_numpy(nodata > 0)[None])})
        return packed


def check_raster_pipeline(steps: Sequence[Any], name: str) -> None:
    """Refuse pipelines that load rasters, but lose which pixels hold no data.

    Args:
        steps: Transforms of a pipeline, built.
        name: What messages call the pipeline.

    Raises:
        UserError: If `LoadRasterFromFile` is not followed by `PackRasterInputs`, or a step moves pixels of the image
            only.
    """
    if not any(isinstance(step, LoadRasterFromFile) for step in steps):
        return
    for step in steps:
        kind = type(step).__name__
        if isinstance(step, PackSegInputs) and not isinstance(step, PackRasterInputs):
            what = 'loads rasters, and PackSegInputs drops which of their pixels hold no data'
            raise UserError(name, what, "end it with dict(type='PackRasterInputs')")
        if kind in ('CenterCrop', 'Pad', 'Albu'):
            what = f'{kind} treats the image without its nodata map'
            raise UserError(name, what, 'take RandomCrop, RandomFlip, RandomRotate or Resize of MMSegmentation instead')
