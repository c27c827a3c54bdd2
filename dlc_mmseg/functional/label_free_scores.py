"""What predictions on unlabelled images say of the model that made them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class PredictionSums(NamedTuple):
    """Sums over pixels, from which scores of any number of images follow.

    Attributes:
        pixels: Number of pixels, shape (), float64.
        probs: Probabilities summed, shape (K,), float64.
        confidence: Largest probabilities summed, shape (), float64.
        entropy: Entropies in nats summed, shape (), float64.
    """

    pixels: Tensor
    probs: Tensor
    confidence: Tensor
    entropy: Tensor

    def plus(self, other: PredictionSums) -> PredictionSums:
        """Sums over the pixels of both."""
        return PredictionSums(*(first + second for first, second in zip(self, other, strict=True)))


class PredictionScores(NamedTuple):
    """Scores of one model's own predictions, each 0 at worst and 1 at best.

    Attributes:
        confidence: Mean largest probability; 1 / K at the least.
        diversity: Entropy of the mean prediction over log K: 1 if all classes have equal shares, 0 if all pixels get
            one class. True shares are rarely equal: it tells collapsed models from others, not good from better.
        information: Mutual information of pixel and class over log K, the entropy of the mean prediction less the
            mean entropy of predictions: high if predictions are sure and of many classes.
    """

    confidence: float
    diversity: float
    information: float


class MixedAgreement(NamedTuple):
    """Pixels of mixed images whose predicted class is that of the image with the larger share.

    Attributes:
        same: Agreeing pixels and all pixels, shape (2,), where both images have one class.
        different: Likewise where the two images have different classes.
    """

    same: Tensor
    different: Tensor

    def plus(self, other: MixedAgreement) -> MixedAgreement:
        """Counts of both."""
        return MixedAgreement(self.same + other.same, self.different + other.different)

    @property
    def score(self) -> float:
        """Mean of both agreements, in [0, 1]; NaN if there is no pixel of either kind."""
        shares = [float(counts[0] / counts[1]) for counts in self if counts[1] > 0]
        return sum(shares) / len(shares) if shares else math.nan


def prediction_sums(probs: Tensor, valid: Tensor | None = None) -> PredictionSums:
    """Sums over the pixels of one image.

    Args:
        probs: Shape (K, H, W), K >= 2, sums to 1 over the classes.
        valid: Pixels that count, shape (H, W), bool; None takes all.

    Returns:
        The sums.

    Raises:
        ValueError: If the probabilities have other than three dimensions, or are of one class.
    """
    if probs.dim() != 3:
        raise ValueError(f'probs have shape {tuple(probs.shape)}: pass (K, H, W)')
    if len(probs) < 2:
        raise ValueError('probs have 1 class: these scores compare classes, of which there must be 2 or more')
    flat = probs.flatten(1) if valid is None else probs[:, valid]
    entropy = torch.special.entr(flat).sum(dim=0)
    count = torch.tensor(float(flat.shape[1]), dtype=torch.float64)
    sums = flat.sum(dim=1, dtype=torch.float64)
    return PredictionSums(count, sums, flat.amax(dim=0).sum(dtype=torch.float64), entropy.sum(dtype=torch.float64))


def prediction_scores(sums: PredictionSums) -> PredictionScores:
    """Confidence, diversity and mutual information.

    Sources: Shi and Sha, Information-theoretical learning of discriminative clusters, ICML 2012 (mutual information);
    Saito et al., Tune it the right way, ICCV 2021, compare such scores for choosing models.

    Args:
        sums: From `prediction_sums`, of at least one pixel.

    Returns:
        The scores; NaN without pixels.

    Example:
        >>> sure = torch.eye(2)[:, :, None]  # two pixels, each sure of a class of its own
        >>> prediction_scores(prediction_sums(sure))
        PredictionScores(confidence=1.0, diversity=1.0, information=1.0)
    """
    scale = math.log(len(sums.probs))
    mean = sums.probs / sums.pixels
    diversity = float(torch.special.entr(mean).sum()) / scale
    information = diversity - float(sums.entropy / sums.pixels) / scale
    return PredictionScores(float(sums.confidence / sums.pixels), diversity, information)


def mixed_agreement(mixed: Tensor, dominant: Tensor, other: Tensor, valid: Tensor | None = None) -> MixedAgreement:
    """Count how predictions of a mixed image agree with those of the image that dominates it.

    The mixed image is ``share * dominant + (1 - share) * other`` with a share above one half. Where both images have
    the same predicted class, agreement probes how dense the class is; where they differ, where its border runs.

    Source: Hu et al., Mixed samples as probes for unsupervised model selection in domain adaptation (MixVal), NeurIPS
    2023; there with one label for an image, here for every pixel.

    Args:
        mixed: Predicted labels of the mixed image, shape (H, W).
        dominant: Predicted labels of the image with the larger share, shape (H, W).
        other: Predicted labels of the other image, shape (H, W).
        valid: Pixels that count, shape (H, W), bool; None takes all.

    Returns:
        Counts, float64.
    """
    agrees, same = mixed == dominant, dominant == other
    counted = torch.ones_like(agrees) if valid is None else valid
    parts = []
    for chosen in (same & counted, ~same & counted):
        parts.append(torch.stack([(agrees & chosen).sum(), chosen.sum()]).double())
    return MixedAgreement(*parts)


def mean_iou(counts: Tensor) -> float:
    """Mean intersection over union of counted predictions.

    Args:
        counts: Shape (K, K), ``counts[i, j]`` pixels of class i predicted as j.

    Returns:
        In [0, 1]; classes that are neither there nor predicted are left out; NaN without pixels.
    """
    counts = counts.double()
    union = counts.sum(dim=0) + counts.sum(dim=1) - counts.diagonal()
    return float((counts.diagonal() / union)[union > 0].mean()) if (union > 0).any() else math.nan
