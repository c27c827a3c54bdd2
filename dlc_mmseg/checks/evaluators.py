"""Names of the scores that the metrics of an evaluator give, as far as they are certain."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.evaluator import BaseMetric, DumpResults, Evaluator
from mmengine.hooks import Hook
from mmengine.registry import EVALUATOR, Registry
from mmengine.runner import TestLoop, ValLoop
from mmseg.evaluation import IoUMetric
from mmseg.registry import HOOKS, LOOPS, METRICS, MODELS

from dlc_mmseg.checks.config_types import is_kind, resolve
from dlc_mmseg.checks.loops import hooks_of
from dlc_mmseg.checks.report import Report
from dlc_mmseg.functional.label_free_scores import PredictionScores

_PACKAGES = ('mmengine', 'mmseg', 'dlc_mmseg')
_IOU_METRICS = ('mIoU', 'mDice', 'mFscore')
_SCORING = ('evaluate', 'compute_metrics', 'total_area_to_metrics')


class Scores(NamedTuple):
    """What an evaluator gives.

    Attributes:
        names: Names of all scores, in order.
        measurable: Further scores, each with the entry of ``iou_metrics`` that asks for it.
    """

    names: list[str]
    measurable: dict[str, str]


def metrics_of(config: Mapping[str, Any], part: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Metrics that a config names, alone, in a list or in a dict with ``metrics``.

    Args:
        config: The whole config.
        part: ``val`` or ``test``.

    Yields:
        Field and config of each.
    """
    field, metrics = f'{part}_evaluator', config.get(f'{part}_evaluator') or []
    if isinstance(metrics, Mapping) and 'metrics' in metrics:
        field, metrics = f'{field}.metrics', metrics['metrics']
    if isinstance(metrics, Mapping):
        yield field, metrics
        return
    for index, metric in enumerate(metrics):
        if isinstance(metric, Mapping):
            yield f'{field}.{index}', metric


def scores_of(config: Mapping[str, Any], part: str, classes: Sequence[str] | None, report: Report) -> Scores | None:
    """Names of the scores of a validation or test.

    Args:
        config: The whole config.
        part: ``val`` or ``test``.
        classes: Names of the classes; None if they are not known.
        report: Receives metrics that end in an error when all images are predicted: errors of a validation, warnings
            of a test.

    Returns:
        The scores; None if a metric, a loop, a model or a hook may give others.
    """
    say = report.error if part == 'val' else report.warning
    given = [_metric_scores(field, metric, classes, say) for field, metric in metrics_of(config, part)]
    known = [scores for scores in given if scores is not None]
    names = [name for scores in known for name in scores.names]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        what = f'two metrics give {twice[0]!r}: MMEngine stops when all images are predicted'
        say(f'{part}_evaluator', what, "set another prefix in one of them, such as prefix='second'")
    if twice or len(known) < len(given) or _adds_scores(config, part):
        return None
    return Scores(names, {name: asked for scores in known for name, asked in scores.measurable.items()})


def _metric_scores(field: str, metric: Mapping[str, Any], classes: Sequence[str] | None, say: Any) -> Scores | None:
    built = resolve(metric, METRICS)
    if not inspect.isclass(built) or not issubclass(built, BaseMetric):
        return None
    if not all(_is_ours(part) for part in built.__mro__ if any(name in vars(part) for name in _SCORING)):
        return None
    measurable: dict[str, str] = {}
    if issubclass(built, DumpResults) or metric.get('format_only'):
        names = []
    elif is_kind(metric, METRICS, 'LabelFreeMetric'):
        names = list(PredictionScores._fields)
    elif issubclass(built, IoUMetric):
        asked = metric.get('iou_metrics', ['mIoU'])
        asked = [asked] if isinstance(asked, str) else list(asked)
        unknown = [name for name in asked if name not in _IOU_METRICS]
        if unknown:
            what = f'{unknown[0]!r} is none that {built.__name__} knows: it stops when all images are predicted'
            say(f'{field}.iou_metrics', what, f'choose from {", ".join(_IOU_METRICS)}')
        if unknown or (classes is None and is_kind(metric, METRICS, 'ClassIoUMetric')):
            return None
        names = _iou_names(built, asked)
        measurable = {name: other for other in _IOU_METRICS for name in _iou_names(built, [other]) if name not in names}
        names += [f'IoU.{name}' for name in classes or () if is_kind(metric, METRICS, 'ClassIoUMetric')]
    else:
        return None
    prefix = metric.get('prefix') or built.default_prefix
    start = f'{prefix}/' if prefix else ''
    return Scores([start + name for name in names], {start + name: other for name, other in measurable.items()})


def _iou_names(built: type[IoUMetric], asked: list[str]) -> list[str]:
    """What `IoUMetric.compute_metrics` calls its figures, of classes that are all predicted right."""
    ones = torch.ones(1)
    figures = built.total_area_to_metrics(ones, ones, ones, ones, asked)
    return [name if name == 'aAcc' else f'm{name}' for name in figures]


def _adds_scores(config: Mapping[str, Any], part: str) -> bool:
    """Whether something beside the metrics may add scores."""
    evaluator, model = config.get(f'{part}_evaluator'), config.get('model') or {}
    wrapped = model.get('segmentor')
    if isinstance(evaluator, Mapping) and 'metrics' in evaluator and not _is_known(evaluator, EVALUATOR, Evaluator):
        return True
    if not _is_known(config.get(f'{part}_cfg'), LOOPS, ValLoop if part == 'val' else TestLoop):
        return True
    if not all(_is_known(segmentor, MODELS) for segmentor in (model, wrapped) if segmentor):
        return True  # a model may return losses in validation
    hooks = [resolve(hook, HOOKS) for _, hook in hooks_of(config)]
    return any(
        getattr(hook, f'after_{part}_epoch', None) is not getattr(Hook, f'after_{part}_epoch') and not _is_ours(hook)
        for hook in hooks
    )


def _is_known(part: Any, registry: Registry, usual: type | None = None) -> bool:
    """Whether a part is built by the frameworks or this package; without a type by the usual class."""
    kind = part.get('type') if isinstance(part, Mapping) else None
    return usual is not None if kind is None else _is_ours(resolve(kind, registry))


def _is_ours(built: Any) -> bool:
    return str(getattr(built, '__module__', '')).partition('.')[0] in _PACKAGES
