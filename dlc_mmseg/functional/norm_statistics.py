"""Batch norm statistics of target images as they would be with the class shares of the source."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_FEWEST = 1e-4  # share that a class is taken to have at least
_PIECE = {'cpu': 2**20, 'other': 2**26}
"""Numbers whose weighted copy is made at a time; a GPU wants few launches."""


def shifted_posterior(probs: Tensor, source_shares: Tensor, target_shares: Tensor) -> Tensor:
    """Posterior under other class shares than those that the classifier was trained with: one E step of label shift.

    ``q_k ~ p_k * target_shares_k / source_shares_k``, normalised over k.

    Source: Saerens, Latinne and Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities,
    Neural Computation 14, 2002, equation 2.4.

    Args:
        probs: Posterior of each pixel, shape (B, K, H, W), sums to 1 over K.
        source_shares: Class shares of the training data, shape (K,).
        target_shares: Class shares to take in their place, shape (K,).

    Returns:
        Shape (B, K, H, W), sums to 1 over K.
    """
    smallest = torch.finfo(probs.dtype).tiny
    ratios = target_shares.clamp(min=_FEWEST) / source_shares.clamp(min=_FEWEST)
    shifted = probs * ratios.to(probs.dtype).view(1, -1, 1, 1)
    return shifted.div_(shifted.sum(dim=1, keepdim=True).clamp(min=smallest))


class Moments(NamedTuple):
    """Mean and (biased) variance of each channel, both of shape (C,), float32 at least."""

    mean: Tensor
    var: Tensor


def class_share_weights(
    probs: Tensor, source_shares: Tensor, target_shares: Tensor, *, max_ratio: float = 20.0
) -> Tensor:
    """Weight of each target pixel under which the target has the class shares of the source.

    ``w = sum_k p_k r_k`` with ``r_k = source_shares_k / target_shares_k``, kept within ``1 / max_ratio .. max_ratio``:
    importance weights of label shift, averaged over the posterior. If ``target_shares`` is the mean of ``probs`` and
    no ratio is cut, class k has the mass ``source_shares_k`` and weights have mean 1.

    Source: importance weights of Lipton, Wang and Smola, Detecting and correcting for label shift with black box
    predictors, ICML 2018.

    Args:
        probs: Posterior of each pixel, shape (B, K, H, W), sums to 1 over K.
        source_shares: Class shares of the source, shape (K,), sums to 1.
        target_shares: Class shares of the target as ``probs`` has them, shape (K,), sums to 1.
        max_ratio: Largest ratio, and inverse of the smallest, at least 1; 1 gives weight 1 to every pixel.

    Returns:
        Weights > 0, shape (B, H, W).

    Raises:
        ValueError: If shapes do not fit or ``max_ratio`` is below 1.
    """
    if probs.dim() != 4 or source_shares.shape != probs.shape[1:2] or target_shares.shape != probs.shape[1:2]:
        shapes = f'{tuple(probs.shape)}, {tuple(source_shares.shape)} and {tuple(target_shares.shape)}'
        raise ValueError(f'probs and shares have shapes {shapes}: pass (B, K, H, W), (K,) and (K,)')
    if max_ratio < 1:
        raise ValueError(f'max_ratio is {max_ratio}: give a number >= 1')
    smallest = torch.finfo(probs.dtype).tiny
    ratios = (source_shares / target_shares.clamp(min=smallest)).clamp(1 / max_ratio, max_ratio)
    return (probs * ratios.to(probs.dtype).view(1, -1, 1, 1)).sum(dim=1)  # autocast would take products in half


def weights_on_grid(weights: Tensor, features: Tensor) -> Tensor:
    """Pixel weights on the grid of a layer's features, by area.

    Args:
        weights: Shape (B, H, W).
        features: Shape (B, C, h, w), (B, C, L) or (B, C). Without a grid of its own, and where the batch is a multiple
            n B of B (windows of the images, window after window), each entry gets its image's mean weight.

    Returns:
        Weights of the shape of ``features`` with one channel.

    Raises:
        ValueError: If the batch is no multiple of B.
    """
    repeats, rest = divmod(features.shape[0], weights.shape[0])
    if rest:
        raise ValueError(f'features of {features.shape[0]} images, weights of {weights.shape[0]}: pass a multiple')
    if features.dim() == 4 and repeats == 1:
        return F.adaptive_avg_pool2d(weights[:, None], (features.shape[-2], features.shape[-1]))
    means = weights.mean(dim=(1, 2)).repeat(repeats)
    return means.view(-1, *[1] * (features.dim() - 1)).expand(-1, 1, *features.shape[2:])


def weighted_moments(features: Tensor, weights: Tensor) -> Moments:
    """Mean and biased variance of each channel under weights.

    Args:
        features: Shape (B, C, ...).
        weights: Shape (B, 1, ...), >= 0; all 0 gives mean and variance 0.
    """
    dims = [0, *range(2, features.dim())]
    images = max(_PIECE.get(features.device.type, _PIECE['other']) // features[0].numel(), 1)
    pieces = list(zip(torch.split(features.float(), images), torch.split(weights.float(), images), strict=True))
    total = weights.sum(dtype=torch.float32).clamp(min=torch.finfo(torch.float32).tiny)
    sums = [(piece * weight).sum(dims, keepdim=True) for piece, weight in pieces]
    mean = torch.stack(sums).sum(dim=0) / total
    squares = [(piece - mean).square_().mul_(weight).sum(dims) for piece, weight in pieces]
    return Moments(mean.flatten(), torch.stack(squares).sum(dim=0) / total)


def merged_moments(first: Moments, second: Moments, share: Tensor) -> Moments:
    """Moments of a mixture of two populations (law of total variance).

    Args:
        first: Moments of one population.
        second: Moments of the other.
        share: Share of the second, shape (), in [0, 1].
    """
    distance = second.mean - first.mean
    var = (1 - share) * first.var + share * second.var + share * (1 - share) * distance.square()
    return Moments(first.mean + share * distance, var)
