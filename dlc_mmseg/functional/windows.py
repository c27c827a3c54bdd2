"""Random crop boxes; with the boxes and sliding windows of `dlc_mmseg.windows`, which need no PyTorch."""

from __future__ import annotations

import torch

from dlc_mmseg.windows import Box, sliding_windows

__all__ = ['Box', 'random_box', 'sliding_windows']


def random_box(
    size: tuple[int, int],
    crop: tuple[int, int],
    *,
    divisible_by: int = 1,
    generator: torch.Generator | None = None,
) -> Box:
    """Box of a given size at a uniformly drawn offset.

    Args:
        size: Image height and width in pixels.
        crop: Box height and width; an axis shorter than the crop is taken whole.
        divisible_by: Offsets are multiples of this (the last possible multiple included).
        generator: CPU source of randomness; None takes torch's default one.

    Returns:
        The drawn box.

    Raises:
        ValueError: If a length or ``divisible_by`` is not positive.
    """
    if min(*size, *crop, divisible_by) < 1:
        raise ValueError(f'size {size}, crop {crop} and divisible_by {divisible_by} must be positive')
    height, width = min(size[0], crop[0]), min(size[1], crop[1])
    rows, columns = (size[0] - height) // divisible_by + 1, (size[1] - width) // divisible_by + 1
    top = int(torch.randint(rows, (), generator=generator)) * divisible_by
    left = int(torch.randint(columns, (), generator=generator)) * divisible_by
    return Box(top, left, top + height, left + width)
