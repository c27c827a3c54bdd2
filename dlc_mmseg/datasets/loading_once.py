"""Several runs of a pipeline on one image that load its files once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.datasets.transforms.loading import LoadAnnotations as LoadSegAnnotations
from mmseg.datasets.transforms.loading import LoadSingleRSImageFromFile

from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile

LOADERS = (LoadImageFromFile, LoadAnnotations, LoadSegAnnotations, LoadSingleRSImageFromFile, LoadRasterFromFile)
"""Steps that depend on the files alone and draw nothing at random; a subclass might, and is run each time."""

Step = Callable[[dict[str, Any]], 'dict[str, Any] | None']


class _Loading:
    """The loading steps at the head of a pipeline, with what they last made."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.paths: tuple[Any, Any] | None = None
        self.loaded: dict[str, Any] = {}

    def __call__(self, results: dict[str, Any]) -> dict[str, Any] | None:
        paths = results.get('img_path'), results.get('seg_map_path')
        if paths != self.paths:
            self.paths = None
            for step in self.steps:
                loaded = step(results)
                if loaded is None:
                    return None
                results = loaded
            self.paths, self.loaded = paths, results
        return copy.deepcopy(self.loaded)  # later steps may write into the arrays


@contextmanager
def loading_once(datasets: Sequence[Any]) -> Iterator[None]:
    """Let datasets load an image once while it is asked for again and again; items stay what they are bit by bit.

    Only steps at the head of a pipeline are meant, and only those in `LOADERS`.

    Args:
        datasets: Datasets that list files, each with a ``pipeline``.

    Yields:
        Nothing; afterwards the pipelines are what they were, and nothing is kept.
    """
    pipelines = [dataset.pipeline for dataset in datasets]
    steps = [pipeline.transforms for pipeline in pipelines]
    for pipeline, transforms in zip(pipelines, steps, strict=True):
        head = list(takewhile(lambda step: type(step) in LOADERS, transforms))
        if head:
            pipeline.transforms = [_Loading(head), *transforms[len(head) :]]
    try:
        yield
    finally:
        for pipeline, transforms in zip(pipelines, steps, strict=True):
            pipeline.transforms = transforms
