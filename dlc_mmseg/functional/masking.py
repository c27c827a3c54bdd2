"""Block masks of masked image consistency (MIC, Hoyer et al., CVPR 2023)."""

from __future__ import annotations

import torch
from torch import Tensor


def block_mask(
    batch_size: int,
    height: int,
    width: int,
    *,
    block_size: int,
    mask_ratio: float,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Mask that hides square blocks of a grid, each independently with one probability.

    Args:
        batch_size: Number of masks.
        height: Rows in pixels.
        width: Columns in pixels.
        block_size: Side of a block in pixels; blocks at the lower and right border may be cut.
        mask_ratio: Probability from 0 to 1 that a block is hidden.
        generator: Source of randomness, on any device; None takes the default one of ``device``.
        device: Device of the result; None is the generator's, or torch's default one.

    Returns:
        Boolean (B, 1, H, W), True = kept.

    Raises:
        ValueError: If a size is not positive or ``mask_ratio`` is no probability.
    """
    if min(batch_size, height, width, block_size) < 1:
        raise ValueError(
            f'batch_size {batch_size}, height {height}, width {width}, block_size {block_size}: all must be positive'
        )
    if not 0 <= mask_ratio <= 1:
        raise ValueError(f'mask_ratio is {mask_ratio}: choose a number from 0 to 1')
    grid = (batch_size, 1, -(-height // block_size), -(-width // block_size))
    draws = torch.rand(grid, generator=generator, device=device if generator is None else generator.device)
    kept = (draws if device is None else draws.to(device)) >= mask_ratio
    blocks = kept.repeat_interleave(block_size, dim=2).repeat_interleave(block_size, dim=3)
    return blocks[..., :height, :width]
