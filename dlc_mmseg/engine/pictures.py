"""Label maps, confidences and images of any kind as 8-bit RGB images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dlc_mmseg.engine.picture_sheet import Image


def colour_labels(labels: NDArray[np.integer], palette: Sequence[Sequence[int]], unknown: int = 0) -> Image:
    """Label map in class colours.

    Args:
        labels: Class indices, shape (H, W); values without a colour (such as 255) count as unknown.
        palette: RGB colour of each class.
        unknown: Grey value of unknown pixels.

    Returns:
        RGB image, shape (H, W, 3).
    """
    table = np.full((256, 3), unknown, dtype=np.uint8)
    table[: len(palette)] = np.asarray(palette, dtype=np.uint8)
    coloured: Image = table[np.clip(labels, 0, 255)]
    return coloured


def displayable(image: NDArray[np.generic]) -> Image:
    """Any (H, W, C) image as 8-bit RGB: first three channels, single channels as grey, stretched unless 8 bit."""
    channels = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    if channels.dtype == np.uint8:
        return np.ascontiguousarray(channels)
    values = channels.astype(np.float64)
    low, high = np.percentile(values, (1, 99))
    return np.ascontiguousarray((np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8))


def loaded_image(inputs: Tensor) -> Image:
    """An image as pipelines deliver it, for people.

    Args:
        inputs: Shape (C, H, W); three channels are BGR, as `LoadImageFromFile` and `LoadRasterFromFile` deliver them.

    Returns:
        RGB image, shape (H, W, 3).
    """
    stored = inputs.flip(0) if inputs.shape[0] == 3 else inputs
    return displayable(stored.permute(1, 2, 0).cpu().numpy())


def grey_confidence(confidence: Tensor) -> Image:
    """Confidences in [0, 1], shape (H, W), from black to white; RGB image, shape (H, W, 3)."""
    return displayable((confidence.clamp(0, 1)[..., None] * 255).byte().cpu().numpy())
