"""Loss of noisy labels for each pixel and its slope in the logits, in one pass over pieces that fit the cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SAFE = 1e-20
"""A mixture of probabilities above this loses nothing to underflow in float32."""
_MAX_EXPONENT = 60.0
"""Cap of ``log(p_i / q_k)``: the gradient to a zero entry of T stays finite in float32."""
_MOST_FACTORS = 48
"""Factors of a product whose logarithm is taken: where T does not apply they reach 2."""
_PIECE = {'cpu': 2**17, 'other': 2**24}
"""Elements of a piece: a CPU's second-level cache holds some of them, a GPU wants few launches."""


def noisy_label_loss(
    logits: Tensor, labels: Tensor, transition: Tensor | None, mask: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """``-(1 - s) log q[y] - s mean_k log q[k]`` of each pixel, with ``q[k] = sum_i p[i] T[i, k]``, p = softmax(logits).

    With ``r[i | k] = p[i] T[i, k] / q[k]``, the posterior of the true class given label k, the slope in logit i is
    ``p[i] - (1 - s) r[i | y] - s mean_k r[i | k]`` (forward correction: Patrini et al., CVPR 2017). Only these K
    numbers of a pixel are kept; mixtures live for one piece. Smoothing costs two products of a pixel with T.

    A label that no class can have (a column of zeros) costs the logarithm of the smallest normal number. A zero of T
    gets its true gradient ``-p[i] / q[k]``, capped at e^60. On a CPU a piece in which a mixture could underflow (zeros
    of T meet confident logits) is summed in log space. Elsewhere nothing is read back from the device: the label's
    mixture is always summed in log space, and those of the smoothing term are at least 1e-20.

    Args:
        logits: Scores of the true class, shape (B, K, P).
        labels: Long, shape (B, P), values 0..K-1.
        transition: T, shape (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``; None means T = I.
        mask: Boolean, shape (B, P): where False, T = I.
        smoothing: s, share of the mean over labels, in [0, 1].

    Returns:
        Shape (B, P), in at least single precision. Differentiable once, in logits and transition.
    """
    losses: Tensor = _NoisyLabelLoss.apply(  # type: ignore[no-untyped-call]
        logits, transition, labels, mask if transition is not None else None, smoothing
    )
    return losses


class _Place(NamedTuple):
    """Some pixels of one image, by image and range."""

    image: int
    pixels: slice


def _places(logits: Tensor) -> Iterator[_Place]:
    batch_size, classes, pixels = logits.shape
    step = max(_PIECE.get(logits.device.type, _PIECE['other']) // classes, 1)
    for image in range(batch_size):
        for start in range(0, pixels, step):
            yield _Place(image, slice(start, start + step))


class _NoisyLabelLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, transition: Tensor | None, labels: Tensor, mask: Tensor | None, smoothing: float
    ) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        losses = torch.empty(labels.shape, dtype=dtype, device=logits.device)
        slopes = torch.empty_like(logits, dtype=dtype)
        for image, pixels in _places(logits):
            piece, chosen = logits[image, :, pixels].to(dtype), labels[image, pixels]
            applies = None if mask is None else mask[image, pixels]
            losses[image, pixels], slopes[image, :, pixels] = _piece(piece, chosen, transition, applies, smoothing)
        ctx.save_for_backward(slopes, *((logits, transition, labels, mask) if ctx.needs_input_grad[1] else ()))
        ctx.smoothing, ctx.dtype = smoothing, logits.dtype
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        slopes, *inputs = ctx.saved_tensors
        to_logits = (slopes * grad.unsqueeze(1)).to(ctx.dtype) if ctx.needs_input_grad[0] else None
        to_transition = _slope_in_transition(grad, ctx.smoothing, *inputs) if inputs else None
        return to_logits, to_transition, None, None, None


def _piece(
    logits: Tensor, labels: Tensor, transition: Tensor | None, mask: Tensor | None, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Losses (n,) and slopes (K, n) of pixels that T applies to, or of which it applies to those in ``mask``, (n,)."""
    probs = logits.softmax(dim=0)
    if logits.device.type == 'cpu' and mask is not None:
        covered = int(mask.sum())
        transition = transition if covered else None
        mask = None if covered == len(mask) else mask
    if transition is None:
        return _uncorrected(probs, logits, labels, smoothing)
    if logits.device.type == 'cpu':
        found = _by_product(probs, logits, labels, transition, mask, smoothing)
        if found is not None:
            return found
    summed = _in_log_space if logits.device.type == 'cpu' else _without_look_up
    corrected = summed(probs, logits, labels, transition, smoothing)
    if mask is None:
        return corrected
    plain = _uncorrected(probs, logits, labels, smoothing)
    return torch.where(mask, corrected[0], plain[0]), torch.where(mask, corrected[1], plain[1])


def _uncorrected(probs: Tensor, logits: Tensor, labels: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """With T = I."""
    places = labels.unsqueeze(0)
    losses = _cross_entropy(probs, logits, places, smoothing)
    slopes = probs - smoothing / len(probs) if smoothing else probs.clone()
    return losses, slopes.scatter_add_(0, places, probs.new_full((), smoothing - 1).expand_as(places))


def _cross_entropy(probs: Tensor, logits: Tensor, places: Tensor, smoothing: float) -> Tensor:
    """Losses (n,) with T = I, labels being (1, n); the largest probability is ``exp(max z - logsumexp z)``."""
    losses = logits.amax(dim=0) - probs.amax(dim=0).log() - (1 - smoothing) * logits.gather(0, places).squeeze(0)
    return losses - smoothing * logits.mean(dim=0) if smoothing else losses


def _by_product(
    probs: Tensor, logits: Tensor, labels: Tensor, transition: Tensor, mask: Tensor | None, smoothing: float
) -> tuple[Tensor, Tensor] | None:
    """By products of probabilities; None if a mixture could underflow where T applies."""
    places = labels.unsqueeze(0)
    elsewhere = None if mask is None else (~mask).to(probs.dtype).unsqueeze(0)
    if smoothing:
        mixtures = transition.t() @ probs
        if elsewhere is not None:
            mixtures += elsewhere  # keeps from 0 what is not used
        label, smallest = mixtures.gather(0, places), float(mixtures.amin(dim=0).min())
    else:
        joint = transition.index_select(1, labels).mul_(probs)
        label = joint.sum(dim=0, keepdim=True)
        if elsewhere is not None:
            label += elsewhere
        smallest = float(label.min())
    if not smallest > _SAFE:
        return None
    losses = (smoothing - 1) * label.squeeze(0).log()
    if smoothing:
        losses -= smoothing * _mean_log(mixtures, smallest)
        shares = mixtures.reciprocal_().mul_(smoothing / len(probs))
        # the label's posterior and the mean one in one product with T
        factor, posterior = probs, transition @ shares.scatter_add_(0, places, (1 - smoothing) / label)
    else:
        factor, posterior = label.reciprocal(), joint
    if mask is None or elsewhere is None:
        return losses, torch.addcmul(probs, factor, posterior, value=-1)
    losses = torch.where(mask, losses, _cross_entropy(probs, logits, places, smoothing))
    slopes = torch.addcmul(probs, factor, posterior.mul_(1 - elsewhere), value=-1)
    slopes.sub_(elsewhere, alpha=smoothing / len(probs))
    return losses, slopes.scatter_add_(0, places, (smoothing - 1) * elsewhere)


def _without_look_up(
    probs: Tensor, logits: Tensor, labels: Tensor, transition: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """With the label's mixture in log space and the others at least `_SAFE`: nothing is read back from the device."""
    label, posterior = _log_posterior(probs, logits.log_softmax(dim=0), transition, labels)
    losses, slopes = (smoothing - 1) * label, torch.sub(probs, posterior, alpha=1 - smoothing)
    if smoothing:
        mixtures = (transition.t() @ probs).clamp_min_(_SAFE)
        losses -= smoothing * mixtures.log().mean(dim=0)
        slopes.addcmul_(probs, transition @ mixtures.reciprocal_(), value=-smoothing / len(probs))
    return losses, slopes


def _in_log_space(
    probs: Tensor, logits: Tensor, labels: Tensor, transition: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """For any logits and T, one label after the other."""
    log_probs = logits.log_softmax(dim=0)
    label, posterior = _log_posterior(probs, log_probs, transition, labels)
    losses, slopes = (smoothing - 1) * label, torch.sub(probs, posterior, alpha=1 - smoothing)
    share = smoothing / len(probs)
    for other in range(len(probs) if smoothing else 0):
        mixture, posterior = _log_posterior(probs, log_probs, transition, labels.new_tensor([other]))
        losses.sub_(mixture, alpha=share)
        slopes.sub_(posterior, alpha=share)
    return losses, slopes


def _log_posterior(probs: Tensor, log_probs: Tensor, transition: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """``log q[y]``, shape (n,), and the posterior given y, shape (K, n); ``labels`` has n elements or one for all."""
    joint = log_probs + transition.clamp_min(0).log().index_select(1, labels)
    log_mixture = joint.logsumexp(dim=0)
    impossible = log_mixture.isneginf()
    posterior = (joint - log_mixture.masked_fill(impossible, 0)).exp_()
    floor = math.log(torch.finfo(log_mixture.dtype).tiny)
    # the loss is constant there: with the probabilities themselves as posterior their slope is 0
    posterior = torch.where(impossible, probs, posterior)
    return log_mixture.masked_fill(impossible, floor), posterior


def _mean_log(mixtures: Tensor, smallest: float) -> Tensor:
    """``mean_k log q[k]``; factors are multiplied in pairs as long as no product can underflow."""
    factors, joined = mixtures, 1
    while len(factors) > 1:
        half, odd = divmod(len(factors), 2)
        joined *= 2 + odd
        if not 0 < smallest < 1 or joined > _MOST_FACTORS or smallest**joined < torch.finfo(mixtures.dtype).tiny:
            break
        products = factors[:half] * factors[half : 2 * half]
        if odd:
            products[0] *= factors[-1]
        factors = products
    return factors.log().sum(dim=0) / len(mixtures)


def _slope_in_transition(
    grad: Tensor, smoothing: float, logits: Tensor, transition: Tensor, labels: Tensor, mask: Tensor | None
) -> Tensor:
    """``-sum over pixels of grad ((1 - s) p[i] / q[y] at column y, and s / K p[i] / q[k] in all)``, shape (K, K)."""
    slope = torch.zeros_like(transition)
    share = smoothing / len(transition)
    for image, pixels in _places(logits):
        log_probs = logits[image, :, pixels].to(transition.dtype).log_softmax(dim=0)
        probs, chosen, weight = log_probs.exp(), labels[image, pixels], grad[image, pixels]
        if mask is not None:
            weight = weight * mask[image, pixels]
        mixture, _ = _log_posterior(probs, log_probs, transition, chosen)
        slope.index_add_(1, chosen, _ratio(log_probs, mixture) * weight, alpha=smoothing - 1)
        if not smoothing:
            continue
        mixtures = transition.t() @ probs
        if mixtures.device.type != 'cpu' or bool((mixtures > _SAFE).all()):
            slope.addmm_(probs, (weight / mixtures.clamp_min(_SAFE)).t(), alpha=-share)
            continue
        for column in range(len(transition)):
            mixture, _ = _log_posterior(probs, log_probs, transition, chosen.new_tensor([column]))
            slope[:, column] -= share * (_ratio(log_probs, mixture) @ weight)
    return slope


def _ratio(log_probs: Tensor, log_mixture: Tensor) -> Tensor:
    return (log_probs - log_mixture).clamp_(max=_MAX_EXPONENT).exp_()
