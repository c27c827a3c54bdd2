"""Noise transition matrix: forward-corrected cross-entropy, volume and convexity.

Orientation everywhere: ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dlc_mmseg.functional.noisy_label_loss import noisy_label_loss
from dlc_mmseg.functional.simplex import hull_weights

REDUCTIONS = ('mean', 'valid_mean', 'sum', 'none')


def _check(logits: Tensor, labels: Tensor, transition: Tensor | None, others: dict[str, Tensor | None]) -> None:
    if logits.dim() < 3 or labels.shape != (logits.shape[0], *logits.shape[2:]):
        raise ValueError(
            f'logits {tuple(logits.shape)} and labels {tuple(labels.shape)} do not fit: pass (B, K, H, W) and (B, H, W)'
        )
    for name, tensor in others.items():
        if tensor is not None and tensor.shape != labels.shape:
            raise ValueError(f'{name} {tuple(tensor.shape)} and labels {tuple(labels.shape)} differ in shape')
    classes = logits.shape[1]
    if transition is not None and transition.shape != (classes, classes):
        raise ValueError(
            f'transition has shape {tuple(transition.shape)}: {classes} channels of logits need ({classes}, {classes})'
        )


def _flat_labels(labels: Tensor, classes: int, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """Long labels (B, P) with ignored pixels set to 0, and where labels are valid."""
    flat = labels.flatten(1).long()
    valid = torch.ones_like(flat, dtype=torch.bool) if ignore_index is None else flat != ignore_index
    flat = flat.masked_fill(~valid, 0)
    if flat.device.type == 'cpu' and flat.numel():
        lowest, highest = (int(bound) for bound in flat.aminmax())
        if lowest < 0 or highest >= classes:
            raise IndexError(
                f'labels reach from {lowest} to {highest} but logits have {classes} classes: '
                'check num_classes, reduce_zero_label and ignore_index'
            )
    return flat, valid


def forward_corrected_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    transition: Tensor | None,
    *,
    transition_mask: Tensor | None = None,
    weight: Tensor | None = None,
    class_weight: Tensor | None = None,
    label_smoothing: float = 0.0,
    ce_weight: float = 1.0,
    ignore_index: int | None = 255,
    reduction: str = 'mean',
) -> Tensor:
    """Cross-entropy of noisy labels against clean logits pushed through T.

    With ``p = softmax(logits)`` the noisy posterior is ``q[j] = sum_i p[i] T[i, j]`` and ``CE = -log q[y]``
    (forward correction: Patrini et al., CVPR 2017, theorem 2). The loss of a pixel is
    ``c CE + (1 - c) [(1 - s) CE + s mean_k(-log q[k])]`` with ``c = ce_weight`` and ``s = label_smoothing``
    (DLC, He et al., TGRS 2024). Everything runs in log space and at least in float32, under autocast too;
    with T = I the result is the ordinary cross-entropy.

    Args:
        logits: Scores of the true class, (B, K, H, W) or (B, K, ...).
        labels: Integer pseudo-labels (B, H, W) in 0..K-1 or ``ignore_index``.
        transition: T of shape (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1;
            exact zeros and ones are fine. None means T = I.
        transition_mask: Boolean (B, H, W); where False the pixel's label is taken as true, i.e. T = I.
        weight: Weight of each pixel, (B, H, W).
        class_weight: Weight of the pixels labelled with each class, (K,); pixels count the same in the mean whatever
            theirs, as in MMSegmentation 0.x.
        label_smoothing: s in [0, 1].
        ce_weight: c in [0, 1]; at 1 label smoothing has no effect.
        ignore_index: Label value that contributes 0; None ignores no pixel.
        reduction: 'mean' divides the sum by the number of all pixels, 'valid_mean' by that of pixels not
            ignored, 'sum' does not divide, 'none' returns (B, H, W).

    Returns:
        Scalar, or (B, H, W) for 'none'; float32, or float64 for float64 logits. The gradient reaches logits
        and transition.

    Raises:
        ValueError: If shapes do not fit, a number is out of range or ``reduction`` is unknown.
        IndexError: If a label is neither a class nor ``ignore_index`` (checked on the CPU).

    Example:
        A pixel that is most likely of class 0 carries label 1. Where every fifth pixel of class 0 is mislabelled so,
        that is no great surprise, and the loss is smaller than without the correction.

        >>> logits = torch.tensor([0.9, 0.1]).log().view(1, 2, 1, 1)
        >>> label = torch.tensor([[[1]]])
        >>> transition = torch.tensor([[0.8, 0.2], [0.0, 1.0]])
        >>> corrected = forward_corrected_cross_entropy(logits, label, transition)
        >>> plain = forward_corrected_cross_entropy(logits, label, None)
        >>> print(f'{corrected:.3f} instead of {plain:.3f}')
        1.273 instead of 2.303
    """
    others = {'transition_mask': transition_mask, 'weight': weight}
    _check(logits, labels, transition, others)
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction is {reduction!r}: choose one of {REDUCTIONS}')
    for name, value in (('label_smoothing', label_smoothing), ('ce_weight', ce_weight)):
        if not 0 <= value <= 1:
            raise ValueError(f'{name} is {value}: choose a number from 0 to 1')
    if class_weight is not None and class_weight.shape != logits.shape[1:2]:
        raise ValueError(f'class_weight has shape {tuple(class_weight.shape)}: give one for each of {logits.shape[1]}')
    flat, valid = _flat_labels(labels, logits.shape[1], ignore_index)
    mask = None if transition_mask is None else transition_mask.flatten(1).bool()
    with torch.autocast(logits.device.type, enabled=False):
        dtype = torch.promote_types(logits.dtype, torch.float32)
        matrix = None if transition is None else transition.to(dtype)
        loss = noisy_label_loss(logits.flatten(2), flat, matrix, mask, (1 - ce_weight) * label_smoothing)
        loss = loss.where(valid, 0)
        if weight is not None:
            loss = loss * weight.flatten(1).to(dtype)
        if class_weight is not None:
            loss = loss * class_weight.to(dtype)[flat]
    return _reduce(loss.view(labels.shape), valid, reduction)


def _reduce(loss: Tensor, valid: Tensor, reduction: str) -> Tensor:
    if reduction == 'none':
        return loss
    if reduction == 'sum':
        return loss.sum()
    if reduction == 'mean':
        return loss.sum() / max(loss.numel(), 1)
    return loss.sum() / valid.sum().clamp_min(1)


def _linalg_input(transition: Tensor) -> Tensor:
    return transition.to(torch.promote_types(transition.dtype, torch.float32))


def log_volume(transition: Tensor, *, ridge: float = 0.0) -> Tensor:
    """Logarithm of the volume spanned by T (VolMinNet, Li et al., ICML 2021).

    ``log |det T|`` for a square T, ``log sqrt det(T^T T)`` for a rectangular one (SimT, Guo et al., CVPR
    2022), computed by slogdet at least in float32, under autocast too. It falls without bound towards singular
    matrices, ever steeper. With a ``ridge`` r it is ``log sqrt det(T^T T + r I)``, whose gradient stays small there.

    Args:
        transition: T of shape (K, M), ``T[i, j] = P(pseudo-label = j | true label = i)``, rows sum to 1.
        ridge: Added to the squared singular values, >= 0.

    Returns:
        Scalar, at most 0 for a square T without ridge, and then, where T is numerically singular, ``n log(eps)``, n
        the smaller side, with zero gradient.

    Raises:
        ValueError: If T has not two dimensions, or the ridge is negative.
    """
    if transition.dim() != 2:
        raise ValueError(f'transition has shape {tuple(transition.shape)}: pass a matrix (K, M)')
    if ridge < 0:
        raise ValueError(f'ridge is {ridge}: choose a number >= 0')
    with torch.autocast(transition.device.type, enabled=False):
        matrix = _linalg_input(transition)
        rows, columns = matrix.shape
        scale = 1.0
        if rows != columns or ridge:
            scale = 0.5
            matrix = matrix.t() @ matrix if rows > columns else matrix @ matrix.t()
            matrix = matrix + ridge * torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
        size, eps = matrix.shape[0], torch.finfo(matrix.dtype).eps
        inverse, info = torch.linalg.inv_ex(matrix.detach())
        condition = inverse.abs().sum(dim=1).max() * matrix.detach().abs().sum(dim=1).max()
        regular = (info == 0) & (condition < 1 / (size * eps))
        safe = torch.where(regular, matrix, torch.eye(size, dtype=matrix.dtype, device=matrix.device))
        volume = scale * torch.linalg.slogdet(safe).logabsdet
        clamped: Tensor = volume.where(regular, scale * size * math.log(eps))
    return clamped


def convexity_weights(transition: Tensor) -> Tensor:
    """Weights W that bring each row of T as near as possible to the hull of the other rows.

    ``W = argmin ||W T - T||_F^2`` over zero diagonals and rows on the simplex (SimT, Guo et al., CVPR 2022, its
    convex guarantee, solved exactly instead of by gradient steps). Without state, in float64 on the CPU: the same
    T gives the same W on every device.

    Args:
        transition: T of shape (K, M), K >= 2, ``T[i, j] = P(pseudo-label = j | true label = i)``.

    Returns:
        W of shape (K, K), without gradient, in at least float32.

    Raises:
        ValueError: If T is no matrix with two rows or more.
    """
    if transition.dim() != 2 or transition.shape[0] < 2:
        raise ValueError(f'transition has shape {tuple(transition.shape)}: pass (K, M) with K >= 2')
    weights = torch.from_numpy(hull_weights(transition.detach().double().cpu().numpy()))
    return weights.to(transition.device, torch.promote_types(transition.dtype, torch.float32))


def convexity_distance(transition: Tensor) -> Tensor:
    """Squared distance of the rows of T to the hull of the others: ``min_W ||W T - T||_F^2``.

    Zero where every row is a mixture of the others. The gradient to T holds W at its optimum, which is the
    exact gradient of the minimum (envelope theorem).

    Args:
        transition: T of shape (K, M), K >= 2, ``T[i, j] = P(pseudo-label = j | true label = i)``.

    Returns:
        Scalar >= 0, at least float32, under autocast too.

    Raises:
        ValueError: If T is no matrix with two rows or more.
    """
    weights = convexity_weights(transition)
    with torch.autocast(transition.device.type, enabled=False):
        matrix = _linalg_input(transition)
        distance: Tensor = (weights @ matrix - matrix).square().sum()
    return distance
