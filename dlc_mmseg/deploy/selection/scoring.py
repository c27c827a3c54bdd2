"""Scores of candidates on images, with and without labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.deploy.selection.candidates import Candidate
from dlc_mmseg.errors import UserError
from dlc_mmseg.functional.confusion import confusion_counts
from dlc_mmseg.functional.label_free_scores import (
    MixedAgreement,
    PredictionSums,
    mean_iou,
    mixed_agreement,
    prediction_scores,
    prediction_sums,
)
from dlc_mmseg.functional.spread import spread_indices
from dlc_mmseg.models.nodata import nodata_of
from dlc_mmseg.models.stored_scores import probabilities, stored_scores

MIXING_SHARE = 0.55
"""Share of the dominant image in mixed ones, as in MixVal."""

Progress = Callable[[Iterable[int], str, int], Iterable[int]]


class CandidateScores(NamedTuple):
    """What was measured of a candidate; every score is better the larger it is.

    Attributes:
        name: The candidate.
        ensemble: mIoU of its predictions with those of the mean of all candidates' probabilities (EnsV).
        mixing: Agreement on mixed images (MixVal).
        information: Mutual information of pixel and class.
        diversity: Entropy of predicted class shares over log K.
        confidence: Mean largest probability.
        accuracy: What the learnt T claims; NaN where none was learnt.
        shares: Predicted class shares, shape (K,).
        miou: True mIoU; NaN without labels.
    """

    name: str
    ensemble: float
    mixing: float
    information: float
    diversity: float
    confidence: float
    accuracy: float
    shares: tuple[float, ...]
    miou: float


SCORES = ('ensemble', 'mixing', 'information', 'diversity', 'confidence', 'accuracy')
"""Names of the label-free scores."""


@dataclass
class _Sums:
    """Running sums of one candidate."""

    predictions: PredictionSums
    with_ensemble: Tensor
    with_labels: Tensor
    shares: Tensor
    mixed: MixedAgreement = field(default_factory=lambda: MixedAgreement(torch.zeros(2), torch.zeros(2)))


class _Image(NamedTuple):
    """An image with what every candidate predicts: labels (H, W)."""

    inputs: Tensor
    valid: Tensor
    predicted: list[Tensor]


@torch.no_grad()
def score_candidates(
    candidates: Sequence[Candidate], dataset: Any, *, limit: int | None = None, progress: Progress | None = None
) -> list[CandidateScores]:
    """Score candidates on the images of a dataset, one image at a time.

    Sources: Hu, Luo, Liang and Foo, Towards reliable model selection for unsupervised domain adaptation: an empirical
    study and a certified baseline (EnsV), NeurIPS 2024, there with accuracy in place of mIoU; MixVal, NeurIPS 2023.

    Args:
        candidates: At least two.
        dataset: A dataset in test mode; labels are used for ``miou`` only.
        limit: Images to take at most, evenly spread; None takes all.
        progress: Shows how many images are done.

    Returns:
        The scores, in the order of the candidates.

    Raises:
        UserError: If a candidate's head gives no probabilities, or the dataset has other classes.
    """
    kinds = [stored_scores(candidate.network) for candidate in candidates]
    for candidate, kind in zip(candidates, kinds, strict=True):
        if kind == 'unknown':
            what = 'its head gives scores whose probabilities are not known'
            raise UserError(candidate.name, what, 'compare networks with softmax, sigmoid or mask heads')
    indices = spread_indices(len(dataset), limit)
    sums: list[_Sums] | None = None
    before: _Image | None = None
    for index in progress(indices, 'comparing', len(indices)) if progress is not None else indices:
        item = dataset[index]
        probs = [
            probabilities(_predict(candidate, item['inputs'], item['data_samples']).seg_logits.get('data'), kind).cpu()
            for candidate, kind in zip(candidates, kinds, strict=True)
        ]
        if sums is None:
            _check_classes(dataset, len(probs[0]))
            sums = [_empty(len(probs[0])) for _ in candidates]
        image = _count(sums, probs, item)
        if before is not None:
            _count_mixed(sums, candidates, image, before, item)
        before = image
    return [_finished(candidate, part) for candidate, part in zip(candidates, sums or (), strict=True)]


def _check_classes(dataset: Any, predicted: int) -> None:
    classes = [str(name) for name in dataset.metainfo['classes']]
    if len(classes) != predicted:
        what = f'the data has {len(classes)} classes ({", ".join(classes)}), the networks predict {predicted}'
        raise UserError('metainfo.classes', what, 'give the data the classes that the networks were trained on')


def _predict(candidate: Candidate, inputs: Tensor, sample: SegDataSample) -> SegDataSample:
    result: SegDataSample = candidate.network.test_step({'inputs': [inputs], 'data_samples': [sample.clone()]})[0]
    return result


def _empty(classes: int) -> _Sums:
    zero, square = torch.zeros((), dtype=torch.float64), torch.zeros(classes, classes, dtype=torch.float64)
    sums = PredictionSums(zero, torch.zeros(classes, dtype=torch.float64), zero, zero)
    return _Sums(sums, square, square.clone(), torch.zeros(classes, dtype=torch.float64))


def _count(sums: list[_Sums], probs: list[Tensor], item: dict[str, Any]) -> _Image:
    """Add an image to the sums of all candidates."""
    sample, classes = item['data_samples'], len(probs[0])
    ensemble = torch.stack(probs).mean(dim=0).argmax(dim=0)
    valid = ~nodata_of(sample, ensemble.shape)
    labels = sample.gt_sem_seg.get('data')[0] if 'gt_sem_seg' in sample else None
    predicted = [prob.argmax(dim=0) for prob in probs]
    for part, prob, own in zip(sums, probs, predicted, strict=True):
        part.predictions = part.predictions.plus(prediction_sums(prob, valid))
        part.with_ensemble += confusion_counts(ensemble[valid], own[valid], classes)
        part.shares += torch.bincount(own[valid], minlength=classes)
        if labels is not None:
            part.with_labels += confusion_counts(labels, own, classes)
    return _Image(item['inputs'], valid, predicted)


def _count_mixed(
    sums: list[_Sums], candidates: Sequence[Candidate], image: _Image, before: _Image, item: dict[str, Any]
) -> None:
    """Mix an image with the one before it, over the area that both cover."""
    height = min(image.inputs.shape[-2], before.inputs.shape[-2])
    width = min(image.inputs.shape[-1], before.inputs.shape[-1])
    if image.predicted[0].shape != image.inputs.shape[-2:] or before.predicted[0].shape != before.inputs.shape[-2:]:
        return  # resized by the pipeline: pixels of image and map do not correspond
    area = slice(height), slice(width)
    first, second = (part.inputs[:, area[0], area[1]].float() for part in (image, before))
    mixed = MIXING_SHARE * first + (1 - MIXING_SHARE) * second
    sample = SegDataSample(metainfo={'img_shape': (height, width), 'ori_shape': (height, width)})
    sample.set_metainfo({'pad_shape': (height, width), 'img_path': item['data_samples'].get('img_path')})
    valid = image.valid[area] & before.valid[area]
    for index, (part, candidate) in enumerate(zip(sums, candidates, strict=True)):
        labels = _predict(candidate, mixed, sample).pred_sem_seg.get('data')[0].cpu()
        own, other = image.predicted[index][area], before.predicted[index][area]
        part.mixed = part.mixed.plus(mixed_agreement(labels, own, other, valid))


def _finished(candidate: Candidate, sums: _Sums) -> CandidateScores:
    own = prediction_scores(sums.predictions)
    return CandidateScores(
        name=candidate.name,
        ensemble=mean_iou(sums.with_ensemble),
        mixing=sums.mixed.score,
        information=own.information,
        diversity=own.diversity,
        confidence=own.confidence,
        accuracy=math.nan if candidate.accuracy is None else candidate.accuracy,
        shares=tuple((sums.shares / sums.shares.sum()).tolist()),
        miou=mean_iou(sums.with_labels),
    )
