"""Confusion of predictions with true labels, in the orientation of the transition matrix."""

from __future__ import annotations

import torch
from torch import Tensor


def confusion_counts(labels: Tensor, predictions: Tensor, num_classes: int, *, ignore_index: int = 255) -> Tensor:
    """Count pixels by true label and prediction.

    Args:
        labels: True labels of any shape; ``ignore_index`` and other values outside 0..K-1 are left out.
        predictions: Predicted labels of the same shape, 0..K-1 where the label is known.
        num_classes: Number of classes K.
        ignore_index: Label that is no class.

    Returns:
        Shape (K, K), int64: ``counts[i, j]`` pixels of true class i are predicted as j.

    Raises:
        ValueError: If shapes differ or a prediction is no class.
    """
    if labels.shape != predictions.shape:
        raise ValueError(f'labels {tuple(labels.shape)} and predictions {tuple(predictions.shape)}: pass equal shapes')
    known = (labels != ignore_index) & (labels >= 0) & (labels < num_classes)
    predicted = predictions[known].long()
    if predicted.numel() and not 0 <= int(predicted.min()) <= int(predicted.max()) < num_classes:
        raise ValueError(
            f'predictions reach from {int(predicted.min())} to {int(predicted.max())}: '
            f'pass classes 0..{num_classes - 1}'
        )
    cells = labels[known].long() * num_classes + predicted
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def expected_confusion(probs: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Expected counts of pixels by true class and label, where the true class is known by its probabilities.

    These are the counts of the true confusion where the probabilities are calibrated, and the label tells nothing of
    the true class that they do not tell: a pseudo-label that was made of them, for one.

    Args:
        probs: P(true class) of each pixel, shape (B, K, H, W).
        labels: Labels, shape (B, H, W); values outside 0..K-1 are left out.
        mask: Pixels to count, shape (B, H, W), bool.

    Returns:
        Shape (K, K), float32: ``counts[i, j] = sum of probs[i] over pixels labelled j``.
    """
    classes = probs.shape[1]
    counted = mask & (labels >= 0) & (labels < classes)
    with torch.autocast(probs.device.type, enabled=False):
        shares = probs.flatten(2).float()
        places = labels.clamp(0, classes - 1).long().flatten(1).unsqueeze(1)
        columns = torch.zeros_like(shares).scatter_(1, places, counted.flatten(1).unsqueeze(1).float())
        return torch.bmm(shares, columns.transpose(1, 2)).sum(dim=0)


def true_transition(counts: Tensor) -> Tensor:
    """Transition matrix of counted predictions.

    Args:
        counts: Shape (K, K), ``counts[i, j]`` pixels of true class i predicted as j.

    Returns:
        Shape (K, K), float64, ``T[i, j] = P(prediction = j | true label = i)``; rows of classes without pixels are NaN.

    Example:
        >>> labels, predictions = torch.tensor([0, 0, 0, 0, 1, 1, 255]), torch.tensor([0, 0, 0, 1, 1, 1, 0])
        >>> counts = confusion_counts(labels, predictions, 2)
        >>> counts.tolist()
        [[3, 1], [0, 2]]
        >>> true_transition(counts).tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    counts = counts.double()
    return counts / counts.sum(dim=1, keepdim=True)


def precision_matrix(joint: Tensor) -> Tensor:
    """How often a prediction is right, and what it is otherwise.

    Args:
        joint: Shape (K, K), counts or probabilities: ``joint[i, j]`` of true class i and predicted as j. Of a
            transition matrix T and class shares pi it is ``pi[i] * T[i, j]``.

    Returns:
        Shape (K, K), float64, ``P[i, j] = P(true label = i | prediction = j)``; columns of classes that are never
        predicted are NaN.

    Example:
        Of all pixels predicted as class 1, every third is of class 0.

        >>> print(precision_matrix(torch.tensor([[3, 1], [0, 2]]))[:, 1])
        tensor([0.3333, 0.6667], dtype=torch.float64)
    """
    joint = joint.double()
    return joint / joint.sum(dim=0, keepdim=True)


def transition_error(transition: Tensor, true: Tensor) -> Tensor:
    """Mean distance |T - T_true| over the entries whose true value is known.

    Args:
        transition: Shape (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``.
        true: Shape (K, K), as from `true_transition`; NaN rows are left out.

    Returns:
        Scalar in [0, 2 / K], float64; NaN if no row is known, or T is NaN where one is.
    """
    return (transition.to(true) - true)[~true.isnan()].abs().mean()
