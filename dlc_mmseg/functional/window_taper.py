"""How much the pixels of a window count where it overlaps others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_LEAST = 1e-6
"""Weight that a pixel keeps, so that those of image corners, which lie in one window only, have a mean."""


def cosine_taper(size: tuple[int, int], overlap: tuple[int, int]) -> Tensor:
    """Weights that fall towards the border of a window by a squared cosine over the overlap (Tukey window).

    Neighbours that overlap by exactly that much have weights that sum to 1 at each pixel; no window begins or ends
    with a jump, so that the blend has no seam. Border pixels, of which the network sees least context, count least.

    Source: F. J. Harris, On the use of windows for harmonic analysis with the discrete Fourier transform, Proceedings
    of the IEEE 66(1), 1978, section V.D.

    Args:
        size: Height and width of the window in pixels.
        overlap: Rows and columns that neighbours share, at least 0; more than half a window counts as half.

    Returns:
        Shape (height, width), float32, in (0, 1].

    Raises:
        ValueError: If a length is not positive, or an overlap negative.
    """
    if min(size) < 1 or min(overlap) < 0:
        raise ValueError(f'size {size} must be positive, overlap {overlap} not negative')
    rows, columns = (_ramps(length, min(shared, length // 2)) for length, shared in zip(size, overlap, strict=True))
    return (rows[:, None] * columns[None, :]).clamp_min(_LEAST).float()


def _ramps(length: int, overlap: int) -> Tensor:
    weights = torch.ones(length, dtype=torch.float64)
    if overlap:
        ramp = torch.sin((torch.arange(overlap, dtype=torch.float64) + 0.5) * (math.pi / 2 / overlap)).square()
        weights[:overlap] = ramp
        weights[length - overlap :] = ramp.flip(0)
    return weights
