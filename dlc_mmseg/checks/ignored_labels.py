"""Parts of a config that each ignore a label of their own: dataset, padding, heads and evaluators must agree."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS, MODELS

from dlc_mmseg.checks.config_types import is_kind
from dlc_mmseg.checks.domain_files import Domain
from dlc_mmseg.checks.model_config import parts
from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.label_codes import IGNORED

_HEADS = ('decode_head', 'auxiliary_head')


class Ignored(NamedTuple):
    """A label that some part ignores, or writes for others to ignore.

    Attributes:
        where: Field of the config.
        value: The label.
        harm: What happens where the first head does not ignore it.
        certain: Whether that happens in any run; otherwise it depends on the labels.
    """

    where: str
    value: int
    harm: str
    certain: bool


def check_ignored_labels(
    config: Mapping[str, Any], domains: Sequence[Domain], num_classes: int, report: Report
) -> None:
    """Compare the ignored labels of all parts with that of the first head.

    Values that are classes are left to the checks of their part, but for evaluators.

    Args:
        config: The whole config.
        domains: All datasets.
        num_classes: Number of classes K.
        report: Receives parts that ignore another label.
    """
    for filled in _filled(domains):
        if 0 <= filled.value < num_classes:
            what = f'{filled.value} is the class {domains[0].classes[filled.value]}: {_TRAINED}'
            report.warning(filled.where, what, f'set it to {IGNORED}')
    heads = list(_heads(config.get('model') or {}))
    if not heads or 0 <= heads[0].value < num_classes:
        return
    first = heads[0]
    others = [*heads[1:], *_padding(config), *_labels(domains), *_filled(domains), *_evaluators(config)]
    for other in others:
        classed = 0 <= other.value < num_classes and other.where.partition('.')[0] not in _EVALUATORS
        if other.value != first.value and not classed:
            add = report.error if other.certain else report.warning
            what = f'is {other.value}, {first.where} {first.value}: {other.harm.format(value=other.value)}'
            add(other.where, what, _remedy(first, domains))


_TRAINED = 'pixels that no image holds would be trained or counted as it'
_EVALUATORS = ('val_evaluator', 'test_evaluator')


def _remedy(first: Ignored, domains: Sequence[Domain]) -> str:
    if first.value == IGNORED:
        return f'set it to {IGNORED}, and write {IGNORED} into labels where pixels are to be ignored'
    if any(_makes_255(domain) for domain in domains):
        return f'set all ignored labels to {IGNORED}, which reduce_zero_label and label maps write'
    return f'set it to {first.value} too, or all ignored labels to {IGNORED}'


def _makes_255(domain: Domain) -> bool:
    """Whether loading turns label values into 255, whatever else is said to be ignored."""
    dataset = domain.dataset
    return domain.labelled and (bool(getattr(dataset, 'reduce_zero_label', False)) or bool(dataset.label_map))


def _heads(model: Mapping[str, Any]) -> Iterator[Ignored]:
    base, segmentor = ('model.segmentor', model['segmentor']) if 'segmentor' in model else ('model', model)
    for key in _HEADS:
        for name, head in parts(segmentor.get(key), f'{base}.{key}'):
            value = head.get('ignore_index', _default(head.get('type')))
            if 'num_classes' in head and isinstance(value, int):
                yield Ignored(f'{name}.ignore_index', value, 'labels of {value} are none of its classes', True)


def _default(kind: Any) -> Any:
    """Value of a head that the config leaves out."""
    built = MODELS.get(kind) if isinstance(kind, str) else kind
    parameter = inspect.signature(built).parameters.get('ignore_index') if built else None
    return IGNORED if parameter is None or parameter.default is parameter.empty else parameter.default


def _padding(config: Mapping[str, Any]) -> Iterator[Ignored]:
    value = ((config.get('model') or {}).get('data_preprocessor') or {}).get('seg_pad_val', IGNORED)
    if isinstance(value, int):
        harm = 'padded pixels, {value}, are none of its classes'
        yield Ignored('model.data_preprocessor.seg_pad_val', value, harm, True)


def _labels(domains: Sequence[Domain]) -> Iterator[Ignored]:
    for domain in domains:
        if not domain.labelled:
            continue
        harm = 'labels of {value} are allowed in the files, but none of its classes'
        yield Ignored(f'{domain.name}.ignore_index', int(getattr(domain.dataset, 'ignore_index', IGNORED)), harm, True)
        if _makes_255(domain):
            field = 'reduce_zero_label' if getattr(domain.dataset, 'reduce_zero_label', False) else 'metainfo.classes'
            harm = 'pixels without a class become {value} on loading, which is none of its classes'
            yield Ignored(f'{domain.name}.{field}', IGNORED, harm, True)
        for where, step in _steps(domain):
            counted = getattr(step, 'ignore_index', None)
            if isinstance(counted, int):
                yield Ignored(f'{where}.ignore_index', counted, 'ignored pixels count as a class here', False)


def _steps(domain: Domain) -> Iterator[tuple[str, Any]]:
    for index, step in enumerate(domain.dataset.pipeline.transforms):
        yield f'{domain.name}.pipeline.{index}', step


def _filled(domains: Sequence[Domain]) -> Iterator[Ignored]:
    """Labels that steps of a pipeline write where an image ends."""
    harm = 'pixels that it fills with {value} are none of its classes'
    for domain in domains:
        for where, step in _steps(domain) if domain.labelled else ():
            pad = getattr(step, 'pad_val', None)
            values = {
                'seg_pad_val': getattr(step, 'seg_pad_val', None),
                'pad_val.seg': pad.get('seg') if isinstance(pad, Mapping) else None,
                'seg_fill_in': getattr(step, 'seg_fill_in', None),
            }
            yield from (
                Ignored(f'{where}.{key}', int(value), harm, True) for key, value in values.items() if value is not None
            )


def _evaluators(config: Mapping[str, Any]) -> Iterator[Ignored]:
    for name in _EVALUATORS:
        evaluators = config.get(name) or ()
        single = isinstance(evaluators, Mapping)
        for index, evaluator in enumerate([evaluators] if single else evaluators):
            if not isinstance(evaluator, Mapping) or not is_kind(evaluator, METRICS, IoUMetric):
                continue
            value = evaluator.get('ignore_index', IGNORED)
            harm = 'what labels ignore for the loss counts as errors in mIoU, or the other way round'
            if isinstance(value, int):
                yield Ignored(f'{name}.ignore_index' if single else f'{name}.{index}.ignore_index', value, harm, False)
