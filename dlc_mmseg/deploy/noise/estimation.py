"""Which classes a model confuses on images without labels: T of its own predictions there."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.deploy.noise.feature_points import FeaturePoints, segment_with_points, smallest
from dlc_mmseg.errors import UserError
from dlc_mmseg.functional.confusion import confusion_counts, expected_confusion, true_transition
from dlc_mmseg.functional.consensus import nearest_neighbours
from dlc_mmseg.functional.spread import spread_indices
from dlc_mmseg.functional.transition_estimation import estimate_transition_matrix
from dlc_mmseg.models.nodata import nodata_of
from dlc_mmseg.models.segmentors.wrapping import WrappingSegmentor
from dlc_mmseg.models.stored_labels import label_map
from dlc_mmseg.models.stored_scores import Scores, probabilities, stored_scores

_STRIP = 256  # rows whose probabilities are held at a time
_NO_PROBABILITIES = (
    'model.decode_head',
    'its class and losses do not tell which probabilities its scores mean',
    'take --estimator likelihood',
)
Progress = Callable[[Iterable[int], str, int], Iterable[int]]
"""Passes items on and shows how many of a total are done."""


class Observations(NamedTuple):
    """What was seen on all images: counts over their pixels, and N points for estimates that ask neighbours.

    Attributes:
        features: Shape (N, D), float32; N is 0 where no points were wanted.
        labels: Predicted labels, shape (N,).
        true: True labels, shape (N,), 255 where unknown.
        counts: Shape (K, K): ``counts[i, j]`` pixels (of all images whole) of true class i are predicted as j; zeros
            without labels.
        expected: Shape (K, K), float64: the same as the model expects it, ``expected[i, j]`` being the sum of its
            probabilities of class i over pixels (of all images whole) predicted as j; NaN where it is not known what
            its scores mean.
        pixels: Shape (K,): pixels by predicted label.
        images: Number of images.
    """

    features: Tensor
    labels: Tensor
    true: Tensor
    counts: Tensor
    expected: Tensor
    pixels: Tensor
    images: int


class Agreement(NamedTuple):
    """How well the assumption of the estimate holds.

    Attributes:
        predicted: Share of points whose predicted label both nearest neighbours have too.
        true: Share of points, among those with known true labels, whose true label both neighbours share; None
            without labels.
    """

    predicted: float
    true: float | None


class NoiseEstimate(NamedTuple):
    """What was found.

    Attributes:
        transition: T of shape (K, K), ``T[i, j] = P(predicted label = j | true label = i)``.
        prior: P(true label), (K,), sums to 1.
        residual: Consensus loss at T, >= 0; None where neighbours were not asked.
        agreement: Agreement of neighbours; None likewise.
        notes: What the estimator warned of.
    """

    transition: Tensor
    prior: Tensor
    residual: float | None
    agreement: Agreement | None
    notes: list[str]


def inference_network(model: BaseSegmentor) -> EncoderDecoder:
    """The network of a model that predicts.

    Args:
        model: A plain segmentor, or one of ours around it.

    Returns:
        The `EncoderDecoder`.

    Raises:
        UserError: If the model has no backbone whose features could be taken.
    """
    network = model.inference_network if isinstance(model, WrappingSegmentor) else model
    if not isinstance(network, EncoderDecoder):
        raise UserError(
            None,
            f'{type(network).__name__} is no EncoderDecoder, whose backbone would give features',
            'take a config of one, of a subclass, or of a DLCSegmentor',
        )
    return network


@torch.no_grad()
def collect_points(
    model: BaseSegmentor,
    dataset: Any,
    *,
    num_classes: int | None = None,
    feature_level: int | None = None,
    num_points: int = 15000,
    max_images: int | None = None,
    seed: int = 0,
    progress: Progress = lambda items, _description, _total: items,
) -> Observations:
    """Segment images, count, and draw points evenly over all of them.

    Args:
        model: A model in evaluation mode; large images are slid as its ``test_cfg`` says.
        dataset: A dataset with a test pipeline, with or without labels.
        num_classes: Classes that the dataset names; None does not compare them with the model's.
        feature_level: Which of the backbone's outputs gives the features; 0 is the shallowest, -1 the deepest. None
            takes 1, or the only one: fine enough for many points, and some way before the decision.
        num_points: Points to draw at most. 0 draws none, which is enough for 'confusion', and takes models
            without a backbone too.
        max_images: Images to take at most, evenly spread; None takes all.
        seed: Seed of the draw.
        progress: Shows how far it is.

    Returns:
        The points, with counts over all pixels of the images.

    Raises:
        UserError: If there is no image, or one cannot be read, its labels are not of its size, the model has another
            number of classes or, points being wanted, the backbone has no such level; or, none being wanted, the
            model's scores are not known to give probabilities.
    """
    kind = stored_scores(model)
    if kind == 'unknown' and not num_points:
        raise UserError(*_NO_PROBABILITIES)
    if not len(dataset):
        raise UserError(None, 'the dataset holds no images', 'give one that does')
    network = inference_network(model) if num_points else None
    generator = torch.Generator().manual_seed(seed)
    totals: _Counts | None = None
    points = FeaturePoints(torch.zeros(0), torch.zeros(0, 0), torch.zeros(0, 2, dtype=torch.long))
    indices = spread_indices(len(dataset), max_images)
    for index in progress(indices, 'segmenting', len(indices)):
        batch = model.data_preprocessor(_read(dataset, index), False)
        inputs, sample = batch['inputs'], batch['data_samples'][0]
        if network is None:
            (sample,) = model.predict(inputs, [sample])
        else:
            sample, drawn = segment_with_points(
                network, inputs, sample, feature_level=feature_level, num_points=num_points, generator=generator
            )
            points = smallest([points, drawn], num_points) if len(points.keys) else drawn
        counts = _count(sample, kind)
        if num_classes not in (None, len(counts.pixels)):
            raise UserError(
                None,
                f'the model has {len(counts.pixels)} classes, its test data name {num_classes}',
                'correct num_classes of its heads or metainfo.classes of the data',
            )
        totals = counts if totals is None else _Counts(*(a + b for a, b in zip(totals, counts, strict=True)))
    assert totals is not None  # one image at least
    labels, true = points.places.unbind(dim=1)
    return Observations(points.features, labels, true, totals.confusion, totals.expected, totals.pixels, len(indices))


def estimate_noise(
    points: Observations,
    *,
    estimator: Literal['confusion', 'likelihood', 'consensus'] = 'confusion',
    seed: int = 0,
) -> NoiseEstimate:
    """Estimate T, and how far the evidence deserves it.

    'confusion' takes the model's probabilities at their word: the confusion that it expects of itself. The other two
    ask the labels of neighbours in feature space; features that made the predictions make neighbours err together,
    so that these see less confusion than there is.

    Args:
        points: As from `collect_points`.
        estimator: 'confusion', or an estimator of `estimate_transition_matrix`.
        seed: Seed of that estimator.

    Returns:
        The estimate. A class of which nothing was seen has prior 0, and the identity's row with 'confusion'.

    Raises:
        UserError: If probabilities are asked for, but not known.
    """
    classes = len(points.pixels)
    if estimator == 'confusion':
        if bool(points.expected.isnan().any()):
            raise UserError(*_NO_PROBABILITIES)
        transition = true_transition(points.expected)
        unseen = transition.isnan().any(dim=1, keepdim=True)
        transition = torch.where(unseen, torch.eye(classes, dtype=transition.dtype), transition)
        prior = points.expected.sum(dim=1) / points.expected.sum()
        return NoiseEstimate(transition.float(), prior.float(), None, None, [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        estimate = estimate_transition_matrix(
            points.features, points.labels, classes, num_points=len(points.labels), seed=seed, estimator=estimator
        )
    return NoiseEstimate(*estimate, _agreement(points), [str(warning.message) for warning in caught])


class _Counts(NamedTuple):
    """Pixels of one image or several; see `Observations`."""

    confusion: Tensor
    expected: Tensor
    pixels: Tensor


def _count(sample: SegDataSample, kind: Scores) -> _Counts:
    """Count an image, on the CPU, but for pixels without data."""
    predicted = label_map(sample, 'pred_sem_seg')
    nodata = nodata_of(sample, predicted.shape).cpu()
    scores = sample.get('seg_logits').get('data')
    expected = _expected(scores, predicted.to(scores.device), ~nodata.to(scores.device), kind)
    classes = len(expected)
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    if 'gt_sem_seg' in sample:
        confusion = confusion_counts(label_map(sample, 'gt_sem_seg')[~nodata], predicted[~nodata], classes)
    return _Counts(confusion, expected, torch.bincount(predicted[~nodata], minlength=classes))


def _expected(scores: Tensor, predicted: Tensor, valid: Tensor, kind: Scores) -> Tensor:
    """Confusion that the model expects, (K, K), float64, of what it stored: scores (K, H, W) and labels (H, W)."""
    total = torch.zeros((), dtype=torch.float64)
    strips = zip(*(torch.split(whole, _STRIP, -2) for whole in (scores, predicted, valid)), strict=True)
    for part, labels, mask in strips:
        probs = probabilities(part, kind).unsqueeze(0)
        total = total + expected_confusion(probs, labels[None], mask[None]).cpu().double()
    return total


def _agreement(points: Observations) -> Agreement:
    if len(points.labels) < 3:
        return Agreement(1.0, None)
    neighbours = nearest_neighbours(points.features)
    predicted = (points.labels[neighbours] == points.labels.unsqueeze(1)).all(dim=1)
    true, near = points.true, points.true[neighbours]
    known = (true != 255) & (near != 255).all(dim=1)
    shared = (near == true.unsqueeze(1)).all(dim=1)[known].double()
    return Agreement(float(predicted.double().mean()), float(shared.mean()) if bool(known.any()) else None)


def _read(dataset: Any, index: int) -> dict[str, list[Any]]:
    try:
        item = dataset[index]
    except Exception as error:  # a pipeline may raise anything
        path, reason = dataset.get_data_info(index)['img_path'], ' '.join(str(error).split())[:200]
        raise UserError(path, f'cannot be read ({reason})', 'repair or remove it or its label file') from error
    sample = item['data_samples']
    if 'gt_sem_seg' in sample and (found := tuple(sample.gt_sem_seg.data.shape)) != (1, *sample.ori_shape):
        path, wanted = dataset.get_data_info(index)['seg_map_path'], (1, *sample.ori_shape)
        raise UserError(path, f'labels of shape {found}, not {wanted}', 'give one channel as large as the image')
    return {'inputs': [item['inputs']], 'data_samples': [item['data_samples']]}
