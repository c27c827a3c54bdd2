"""Images as a pipeline loads them, before anything else is done to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.datasets.raster_loading import NODATA_MAP


class LoadedImage(NamedTuple):
    """What the first steps of a pipeline make of a file.

    Attributes:
        image: Shape (H, W, C).
        nodata: Shape (H, W), bool: pixels without data; None if the loader marks none.
        loader: The step that loads.
    """

    image: NDArray[Any]
    nodata: NDArray[np.bool_] | None
    loader: Any


def load_image(steps: Sequence[Any], info: Mapping[str, Any]) -> LoadedImage | None:
    """Run a pipeline up to the step that loads the image.

    Args:
        steps: Its transforms, built.
        info: Entry of the dataset.

    Returns:
        What that step gives; None if no step loads an image.
    """
    results: Any = dict(info)
    for step in steps:
        results = step(results)
        if not isinstance(results, dict):
            return None
        if isinstance(results.get('img'), np.ndarray):
            image = results['img'] if results['img'].ndim == 3 else results['img'][..., None]
            nodata = results.get(NODATA_MAP)
            return LoadedImage(image, None if nodata is None else nodata > 0, step)
    return None


def described_loading(steps: Sequence[Any]) -> str:
    """The first step of a pipeline with its settings, on one line; what it loads is known by that.

    Args:
        steps: Its transforms, built.
    """
    return ' '.join(repr(steps[0]).split()) if len(steps) else ''
