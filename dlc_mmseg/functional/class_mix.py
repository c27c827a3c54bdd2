"""ClassMix: paste half of the classes of a source image onto a target image.

Olsson et al., WACV 2021; across domains: DACS, Tranheden et al., WACV 2021.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_mix_mask(
    labels: Tensor,
    num_classes: int,
    *,
    generator: torch.Generator | None = None,
    ignore_index: int | None = 255,
) -> Tensor:
    """Pixels of half (rounded up) of the classes present in each image, classes drawn uniformly.

    Args:
        labels: Integer source labels (B, H, W); values outside 0..num_classes-1 are never a class.
        num_classes: Number of classes K.
        generator: Source of randomness, on any device; None takes the default one of the labels' device.
        ignore_index: One more value that is never a class, should it lie within 0..K-1.

    Returns:
        Boolean (B, H, W), True = pasted from the source; all False for an image without a valid class.

    Raises:
        ValueError: If labels have not three dimensions or ``num_classes`` is not positive.

    Example:
        Of classes 0 and 2 one is pasted, with all of its pixels; pixels without a class never are.

        >>> labels = torch.tensor([[[0, 0, 2, 255]]])
        >>> mask = class_mix_mask(labels, 3)
        >>> mask.tolist() in ([[[True, True, False, False]]], [[[False, False, True, False]]])
        True
    """
    if labels.dim() != 3:
        raise ValueError(f'labels have shape {tuple(labels.shape)}: pass (B, H, W)')
    if num_classes < 1:
        raise ValueError(f'num_classes is {num_classes}: it must be positive')
    flat = labels.flatten(1).long()
    invalid = (flat < 0) | (flat >= num_classes)
    if ignore_index is not None:
        invalid |= flat == ignore_index
    flat = flat.masked_fill(invalid, num_classes)
    batch = flat.shape[0]
    present = torch.zeros(batch, num_classes + 1, dtype=torch.bool, device=labels.device)
    present.scatter_(1, flat, True)
    present[:, num_classes] = False
    device = labels.device if generator is None else generator.device
    scores = torch.rand(batch, num_classes + 1, generator=generator, device=device).to(labels.device)
    ranks = scores.masked_fill(~present, 2.0).argsort(dim=1).argsort(dim=1)
    half = (present.sum(dim=1, keepdim=True) + 1) // 2
    chosen = present & (ranks < half)
    return chosen.gather(1, flat).view(labels.shape)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Source where the mask is True, target elsewhere.

    Args:
        mask: Boolean (B, H, W).
        source: Labels or weights (B, H, W), or images (B, C, H, W) with any number of channels.
        target: Same shape as ``source``.

    Returns:
        The mixed tensor, same shape as ``source``.

    Raises:
        ValueError: If shapes do not fit.

    Example:
        >>> mask = torch.tensor([[[True, False]]])
        >>> mix(mask, torch.tensor([[[1, 1]]]), torch.tensor([[[5, 5]]])).tolist()
        [[[1, 5]]]
    """
    spatial = (*source.shape[:1], *source.shape[-2:])
    if source.shape != target.shape or source.dim() not in (3, 4) or mask.shape != spatial:
        raise ValueError(
            f'mask {tuple(mask.shape)}, source {tuple(source.shape)} and target {tuple(target.shape)}: '
            'pass a mask (B, H, W) and two tensors of one shape, (B, H, W) or (B, C, H, W)'
        )
    return torch.where(mask if source.dim() == 3 else mask.unsqueeze(1), source, target)
