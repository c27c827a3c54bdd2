"""The model's config: unknown names, classes of the heads, parts that need each other."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.registry import Registry
from mmseg.registry import DATASETS, HOOKS, MODELS

from dlc_mmseg.checks.config_types import is_kind, parameters_of, resolve, type_name
from dlc_mmseg.checks.loops import hooks_of
from dlc_mmseg.checks.outside_packages import missing_package
from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.nesting import pair_config

_PACKAGE = __name__.split('.')[0]
_NETWORK_PARTS = ('backbone', 'neck', 'decode_head', 'auxiliary_head', 'head', 'scale_attention', 'loss_decode')
_HEADS = ('decode_head', 'auxiliary_head')


def check_names(config: Mapping[str, Any], report: Report) -> None:
    """Find types and arguments that do not exist: of this package's parts, and types of any model part.

    Args:
        config: The whole config.
        report: Receives each with the name that may be meant.
    """
    for name, part in parts(config.get('model'), 'model'):
        _check_part(name, part, MODELS, report)
    _check_part('train_dataloader.dataset', (config.get('train_dataloader') or {}).get('dataset'), DATASETS, report)
    for name, hook in hooks_of(config):
        _check_part(name, hook, HOOKS, report)


def parts(value: Any, name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All dicts of a config that have a type.

    Args:
        value: A part of the config.
        name: Its field.

    Yields:
        Field and dict.
    """
    if isinstance(value, Mapping):
        if value.get('type') is not None:
            yield name, value
        for key, item in value.items():
            yield from parts(item, f'{name}.{key}')
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from parts(item, f'{name}.{index}')


def _check_part(name: str, part: Any, registry: Registry, report: Report) -> None:
    kind = part.get('type') if isinstance(part, Mapping) else None
    if kind is None:
        return
    built = resolve(kind, registry)
    if built is None:
        holder = next((key for key in reversed(name.split('.')) if not key.isdigit()), '')
        if name.count('.') < 2 or holder in _NETWORK_PARTS:  # others may belong to other registries
            unknown = f'{kind!r} is not registered', meant(type_name(kind), sorted(registry.module_dict))
            report.error(f'{name}.type', *(missing_package(str(kind)) or unknown))
        return
    if str(getattr(built, '__module__', '')).split('.')[0] != _PACKAGE:
        return
    parameters = parameters_of(built)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    extra = {'priority'} if registry is HOOKS else set()
    for key in part:
        if key not in parameters and key not in {'type', '_scope_', *extra}:
            report.error(f'{name}.{key}', f'is no argument of {type_name(kind)}', meant(key, list(parameters)))


def meant(name: str, known: Sequence[str]) -> str:
    """A remedy for a name that is not known.

    Args:
        name: The name.
        known: Names that exist.

    Returns:
        The name that comes closest, if one does.
    """
    close = difflib.get_close_matches(name, known, 1)
    return f'{close[0]} may be meant' if close else 'correct or remove it; _delete_=True drops what a dict inherits'


def check_heads(config: Mapping[str, Any], classes: Sequence[str], report: Report) -> None:
    """Compare the heads with the classes of the data.

    Args:
        config: The whole config.
        classes: Names of the classes.
        report: Receives heads that do not fit.
    """
    model = config.get('model') or {}
    base = 'model.segmentor' if 'segmentor' in model else 'model'
    segmentor = model.get('segmentor') or model
    number = len(classes)
    for key in _HEADS:
        for name, head in parts(segmentor.get(key), f'{base}.{key}'):
            found = head.get('num_classes')
            if isinstance(found, int) and found != number and not _single(name, found):
                what = f'is {found}, the data has {number} classes ({", ".join(classes)})'
                report.error(f'{name}.num_classes', what, f'set it to {number}')
            ignored = head.get('ignore_index')
            if isinstance(ignored, int) and 0 <= ignored < number:
                what = f'{ignored} is the class {classes[ignored]}, which would be ignored'
                report.error(f'{name}.ignore_index', what, 'set it to 255 or leave it out')
            weights = head.get('class_weight')
            if isinstance(weights, (list, tuple)) and len(weights) != number:
                what = f'has {len(weights)} values for {number} classes'
                report.error(f'{name}.class_weight', what, 'give one per class')
    padding = (model.get('data_preprocessor') or {}).get('seg_pad_val', 255)
    if isinstance(padding, int) and 0 <= padding < number:
        what = f'{padding} is the class {classes[padding]}: padded pixels would be trained as it'
        report.error('model.data_preprocessor.seg_pad_val', what, 'set it to 255 or leave it out')


def _single(name: str, number: int) -> bool:
    """HRDA's attention may be one map for all classes."""
    return name.endswith('scale_attention') and number == 1


def check_parts(config: Mapping[str, Any], report: Report) -> None:
    """Find parts of the model that lack each other or contradict the schedule.

    Args:
        config: The whole config.
        report: Receives what does not go together.
    """
    model = config.get('model') or {}
    if not model:
        report.error('model', 'is missing', 'start from one of the configs of `dlc-mmseg configs`')
        return
    paired = pair_config(config) is not None
    adapts = 'segmentor' in model
    if adapts != paired and config.get('train_dataloader'):
        kind = type_name(model)
        what, remedy = f'gives pairs, {kind} takes none', "wrap the model: type='DLCSegmentor', segmentor=dict(..)"
        if adapts:
            what, remedy = f'gives no pairs, {kind} takes them', "set type='PairedDomainDataset'"
        report.error('train_dataloader.dataset', what, remedy)
    _check_preprocessor(model, paired, report)
    if (model.get('data_preprocessor') or {}).get('mean') == 'auto' and not any(
        is_kind(hook, HOOKS, 'BandStatisticsHook') for _, hook in hooks_of(config)
    ):
        remedy = "add band_statistics=dict(type='BandStatisticsHook') to default_hooks, or give numbers"
        report.error('model.data_preprocessor.mean', "is 'auto', which no hook sets", remedy)
    head, named = (model.get('segmentor') or {}).get('decode_head'), model.get('decode_head')
    if (
        adapts
        and named is not None
        and isinstance(head, Mapping)
        and resolve(named, MODELS) is not resolve(head, MODELS)
    ):
        what = f'{type_name(named)} is not that of the segmentor ({type_name(head)}); get_flops reads it, nothing else'
        report.warning('model.decode_head.type', what, f'set it to {type_name(head)!r}, or model.decode_head=None')
    transition = model.get('transition')
    for name in ('volume_loss', 'convexity_loss'):
        if model.get(name) is not None and transition is None:
            report.error(f'model.{name}', 'is given without model.transition', f'set transition, or {name}=None')
    iterations = (config.get('train_cfg') or {}).get('max_iters')
    total = (transition or {}).get('total_iterations')
    if total is not None and iterations is not None and total != iterations:
        what = f'is {total}, train_cfg.max_iters is {iterations}'
        report.warning('model.transition.total_iterations', what, f'set it to {iterations}')
    warmup = (transition or {}).get('warmup_iterations') or 0
    if iterations is not None and warmup >= iterations:
        what = f'{warmup} is no less than train_cfg.max_iters ({iterations}): T would never be learnt'
        report.error('model.transition.warmup_iterations', what, 'lower it')


def _check_preprocessor(model: Mapping[str, Any], paired: bool, report: Report) -> None:
    preprocessor = model.get('data_preprocessor')
    name = 'model.data_preprocessor'
    if not preprocessor:
        if paired:
            report.error(name, 'is missing', "set dict(type='PairedDomainDataPreprocessor', mean=[...], std=[...])")
        return
    if paired and resolve(preprocessor, MODELS) and not is_kind(preprocessor, MODELS, 'PairedDomainDataPreprocessor'):
        what = f'{type_name(preprocessor)} takes no pairs'
        report.error(f'{name}.type', what, "set it to 'PairedDomainDataPreprocessor'")
    mean, std = preprocessor.get('mean'), preprocessor.get('std')
    if isinstance(mean, str) or isinstance(std, str):
        if (mean, std) != ('auto', 'auto'):
            what = f'mean is {mean!r} and std {std!r}'
            report.error(f'{name}.mean', what, "give one number of each per channel, or 'auto' for both")
        mean = std = None
    if mean is not None and std is not None and len(mean) != len(std):
        report.error(f'{name}.std', f'has {len(std)} values, mean has {len(mean)}', 'give one of each per channel')
    if std is not None and not all(0 < value < math.inf for value in std):
        report.error(f'{name}.std', f'{list(std)} are not all positive numbers', 'give positive values')
    if mean is not None and not all(map(math.isfinite, mean)):
        report.error(
            f'{name}.mean', f'{list(mean)} are not all numbers', "give one number per channel, or 'auto' for both"
        )
    if preprocessor.get('bgr_to_rgb') and preprocessor.get('rgb_to_bgr'):
        report.error(f'{name}.rgb_to_bgr', 'contradicts bgr_to_rgb', 'keep one of the two')
