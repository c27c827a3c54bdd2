"""What an estimate of noise says, for people (table, picture) and for programs (JSON)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dlc_mmseg.deploy.noise.estimation import NoiseEstimate, Observations
from dlc_mmseg.engine.matrix_pictures import Confusion, draw_matrices
from dlc_mmseg.engine.picture_sheet import Image
from dlc_mmseg.functional.confusion import precision_matrix, transition_error, true_transition

_WIDEST_TABLE = 12
_LISTED = 8
_NAME = 18


def describe(points: Observations, noise: NoiseEstimate, classes: Sequence[str]) -> list[str]:
    """Tables of T and, where labels are known, of the true confusion, the largest confusions, and a caveat.

    Args:
        points: What the estimate was made of.
        noise: The estimate.
        classes: K class names.

    Returns:
        Lines of text.
    """
    transition, prior = noise.transition, noise.prior
    true = true_transition(points.counts)
    known = bool(points.counts.any())
    pixels = int(points.pixels.sum())
    drawn = f', {len(points.labels)} points' if len(points.labels) else ''
    lines = [f'{points.images} images, {pixels} pixels{drawn}', '']
    title = 'T[i, j] = P(predicted class j | true class i) and share of the true class, estimated without labels'
    lines += [title, *_table(transition, prior, classes), '']
    if known:
        shares = points.counts.sum(dim=1) / points.counts.sum()
        lines += ['the same, counted with labels', *_table(true, shares, classes), '']
    lines += _confusions(transition, prior, true, classes)
    lines += ['', *(f'note: {note}' for note in noise.notes), *_caveat(points, noise)]
    return lines


def summarise(points: Observations, noise: NoiseEstimate, classes: Sequence[str]) -> dict[str, Any]:
    """The same as plain values.

    Args:
        points: What the estimate was made of.
        noise: The estimate.
        classes: K class names.

    Returns:
        Values that JSON can hold; rows of classes without pixels are null, and so is what needs labels without any or
        probabilities that are not known.
    """
    transition, prior, agreement = noise.transition, noise.prior, noise.agreement
    known = bool(points.counts.any())
    true = true_transition(points.counts)
    return {
        'classes': list(classes),
        'images': points.images,
        'points': len(points.labels),
        'predicted_pixels': points.pixels.tolist(),
        'transition': _plain(transition),
        'prior': _plain(prior),
        'mean_probability': _plain(_share_on_diagonal(points.expected)),
        'accuracy': float(_share_on_diagonal(points.counts)) if known else None,
        'residual': noise.residual,
        'neighbours_with_the_same_prediction': agreement.predicted if agreement else None,
        'neighbours_of_the_same_true_class': agreement.true if agreement else None,
        'confusion_counts': points.counts.tolist() if known else None,
        'true_transition': _plain(true) if known else None,
        'mean_error': float(transition_error(transition, true)) if known else None,
        'mean_error_of_the_identity': float(transition_error(torch.eye(len(true)), true)) if known else None,
        'notes': noise.notes,
    }


def draw(points: Observations, noise: NoiseEstimate, classes: Sequence[str], learnt: Tensor | None = None) -> Image:
    """T as a heat map, with the true confusion and a T learnt in training beside it where there are any.

    Below stands what is behind a prediction, ``P(true class i | predicted class j)``; of a T without counted labels
    with the estimated class shares.

    Args:
        points: What the estimate was made of.
        noise: The estimate.
        classes: K class names.
        learnt: T of the checkpoint, (K, K), ``T[i, j] = P(pseudo-label = j | true label = i)``.

    Returns:
        RGB image.
    """
    true = true_transition(points.counts)
    estimated, prior = noise.transition, noise.prior.unsqueeze(1)
    title = f'T estimated without labels{_error(estimated, true)}'
    matrices = [(title, estimated, precision_matrix(prior * estimated))]
    if learnt is not None:
        learnt = learnt.cpu()
        matrices.append((f'T learnt in training{_error(learnt, true)}', learnt, precision_matrix(prior * learnt)))
    if bool(points.counts.any()):
        title = f'true confusion (mean error of the identity {_distance(true):.3f})'
        matrices.append((title, true, precision_matrix(points.counts)))
    drawn = [Confusion(title, recall.numpy(), precision.numpy()) for title, recall, precision in matrices]
    return draw_matrices(drawn, classes, columns='predicted class')


def _table(matrix: Tensor, shares: Tensor, classes: Sequence[str]) -> list[str]:
    if len(classes) > _WIDEST_TABLE:
        return [f'  ({len(classes)} classes: see the picture and the JSON file)']
    heads = ['share', *(name[:_NAME] for name in classes)]
    widths = [max(len(head), 5) for head in heads]
    first = max(len(name) for name in classes)
    lines = ['  ' + ' ' * first + ''.join(f'  {head:>{width}}' for head, width in zip(heads, widths, strict=True))]
    for name, share, row in zip(classes, shares.tolist(), matrix.tolist(), strict=True):
        cells = ['-' if math.isnan(value) else f'{value:.2f}' for value in (share, *row)]
        lines.append(
            f'  {name:<{first}}' + ''.join(f'  {cell:>{width}}' for cell, width in zip(cells, widths, strict=True))
        )
    return lines


def _confusions(transition: Tensor, prior: Tensor, true: Tensor, classes: Sequence[str]) -> list[str]:
    """The largest entries off the diagonal, by the true ones where these are known."""
    leading = transition * (prior > 0).unsqueeze(1) if bool(true.isnan().all()) else true.nan_to_num(0.0)
    leading = leading.clone().fill_diagonal_(0)
    columns = '' if bool(true.isnan().all()) else ' (estimated | counted)'
    lines = [f'largest confusions, true class -> predicted class{columns}']
    for cell in leading.flatten().argsort(descending=True, stable=True)[:_LISTED].tolist():
        row, column = divmod(cell, len(classes))
        if row == column or float(leading[row, column]) < 0.005:
            continue
        counted = '' if bool(true[row].isnan().any()) else f' | {float(true[row, column]):.2f}'
        lines.append(f'  {classes[row]} -> {classes[column]}: {float(transition[row, column]):.2f}{counted}')
    return lines if len(lines) > 1 else [*lines, '  none']


def _caveat(points: Observations, noise: NoiseEstimate) -> list[str]:
    known = bool(points.counts.any())
    if noise.agreement is None:
        accuracy = f', and {_share_on_diagonal(points.counts):.0%} of them are right' if known else ''
        lines = [
            "how far to trust it: the model's probabilities are taken at their word.",
            f'  It gives its predictions a mean probability of {_share_on_diagonal(points.expected):.0%}{accuracy}.',
            '  A model that is too sure of itself on these images confuses more than it says.',
        ]
    else:
        shared = noise.agreement.true
        same_class = '' if shared is None else f', {shared:.0%} the same true class'
        lines = [
            'how far to trust it: neighbours in feature space are taken to be of one class, labelled independently.',
            f'  {noise.agreement.predicted:.0%} of the points and both their neighbours have the same prediction'
            f'{same_class}.',
            '  Features that made the predictions make neighbours err together: then the estimate leans to the',
            '  identity, and real confusion tends to be larger.',
        ]
    if known:
        true = true_transition(points.counts)
        error = float(transition_error(noise.transition, true))
        lines.append(f'  Mean |T - counted|: {error:.3f}; of the identity (no errors): {_distance(true):.3f}.')
    return lines


def _error(matrix: Tensor, true: Tensor) -> str:
    return '' if bool(true.isnan().all()) else f' (mean error {float(transition_error(matrix.cpu(), true)):.3f})'


def _share_on_diagonal(counts: Tensor) -> Tensor:
    return counts.diagonal().sum() / counts.sum()


def _distance(true: Tensor) -> float:
    return float(transition_error(torch.eye(len(true)), true))


def _plain(values: Tensor) -> Any:
    """Nested lists, six digits, None for NaN."""
    if values.dim():
        return [_plain(part) for part in values]
    return None if bool(values.isnan()) else round(float(values), 6)
