"""The optimizer's config: whether it builds, and constructors that look for the backbone of a plain segmentor."""

from __future__ import annotations

import ast
import difflib
import inspect
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, build_optim_wrapper
from mmengine.registry import OPTIMIZERS
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from dlc_mmseg.checks.config_types import parameters_of, resolve, type_name
from dlc_mmseg.checks.model_config import meant
from dlc_mmseg.checks.muted import muted
from dlc_mmseg.checks.report import Report, one_line
from dlc_mmseg.checks.schedulers import State, check_schedulers

_REFUSALS = (AssertionError, AttributeError, KeyError, NotImplementedError, TypeError, ValueError)
_MULTIPLIERS = {
    *('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult', 'flat_decay_mult', 'dwconv_decay_mult'),
    *('dcn_offset_lr_mult', 'bypass_duplicate'),
}
"""What MMEngine's constructor reads."""

_OURS = 'StudentOptimWrapperConstructor'


def check_optimizer(config: Mapping[str, Any], model: nn.Module | None, report: Report) -> list[State] | None:
    """Find an optimizer that could not be built, or whose settings by layer would reach no layer of the student.

    Constructors like MMSegmentation's `LearningRateDecayOptimizerConstructor` ask for ``model.backbone`` and for
    names that begin with ``backbone.``; in a model that adapts these are below ``model.student``.

    Args:
        config: The whole config.
        model: The built model; without one nothing is built.
        report: Receives what is wrong.

    Returns:
        States of the schedulers as a run begins; None where they cannot be told.
    """
    wrapper = config.get('optim_wrapper')
    if not isinstance(wrapper, Mapping) or not isinstance(wrapper.get('optimizer'), Mapping):
        return None
    constructor = wrapper.get('constructor', 'DefaultOptimWrapperConstructor')
    built = resolve(constructor, OPTIM_WRAPPER_CONSTRUCTORS)
    where, kind = 'optim_wrapper.constructor', wrapper['optimizer'].get('type')
    if resolve(kind, OPTIMIZERS) is None:
        remedy = meant(type_name(kind), list(OPTIMIZERS.module_dict))
        report.error('optim_wrapper.optimizer.type', f'{kind!r} is not registered', remedy)
    elif built is None:
        report.error(where, f'{constructor!r} is not registered', f'set it to {_OURS!r}')
    elif 'segmentor' in (config.get('model') or {}) and looks_for_backbone(built):
        what = f'{type_name(constructor)} looks for the backbone of the model, which is that of its student'
        remedy = f'set it to {_OURS!r} and optim_wrapper.paramwise_cfg.constructor to {type_name(constructor)!r}'
        report.error(where, what, remedy)
    elif model is not None:
        _check_multipliers(wrapper, model, report)
        return _check_building(config, wrapper, model, report)
    return None


def _check_multipliers(wrapper: Mapping[str, Any], model: nn.Module, report: Report) -> None:
    """Settings by layer that reach no layer, which MMEngine passes over."""
    settings, where = wrapper.get('paramwise_cfg') or {}, 'optim_wrapper.paramwise_cfg'
    kind = settings.get('constructor') or wrapper.get('constructor', 'DefaultOptimWrapperConstructor')
    if resolve(kind, OPTIM_WRAPPER_CONSTRUCTORS) not in (
        DefaultOptimWrapperConstructor,
        resolve(_OURS, OPTIM_WRAPPER_CONSTRUCTORS),
    ):
        return
    for key in settings.keys() - _MULTIPLIERS - {'constructor'}:
        report.warning(f'{where}.{key}', 'is read by nothing', meant(key, sorted(_MULTIPLIERS)))
    keys = settings.get('custom_keys') or {}
    names = [name for name, _ in model.named_parameters() if not name.startswith('teacher.')]
    unmatched = [key for key in keys if not any(key in name for name in names)]
    parts = sorted({part for name in names for part in name.split('.')})
    for key in unmatched:
        close = difflib.get_close_matches(key.strip('^$.*'), parts, 1, cutoff=0.8)
        if close or len(unmatched) == len(keys):  # parts that some networks have may be named beside those of this one
            what = 'is in the name of no parameter: it changes nothing'
            remedy = f'{close[0]} may be meant' if close else f'give a part of their names, such as {names[0]}'
            report.warning(f'{where}.custom_keys.{key}', what, remedy)


def looks_for_backbone(constructor: Any) -> bool:
    """Whether the code of a constructor mentions an attribute ``backbone`` or names that begin with it.

    Args:
        constructor: The class, or a function.
    """
    classes = inspect.getmro(constructor) if inspect.isclass(constructor) else (constructor,)
    for item in classes:
        if item in (DefaultOptimWrapperConstructor, object) or item.__name__ == _OURS:
            continue
        try:
            tree = ast.parse(inspect.getsource(inspect.getmodule(item) or item))
        except (OSError, SyntaxError, TypeError):
            continue  # no source, as for a class made at a prompt
        if any(_is_backbone(node) for node in ast.walk(tree)):
            return True
    return False


def _is_backbone(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == 'backbone'
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith('backbone')


def _check_building(
    config: Mapping[str, Any], wrapper: Mapping[str, Any], model: nn.Module, report: Report
) -> list[State] | None:
    """Build it, as a wrapper that needs no GPU; the optimizer holds no state before its first step."""
    known = {*parameters_of(OptimWrapper), 'constructor', 'paramwise_cfg', 'optimizer'}
    plain = {key: value for key, value in wrapper.items() if key in known}
    try:
        with _silence():
            built = build_optim_wrapper(model, {**plain, 'type': 'OptimWrapper'})
            if any(group.get('weight_decay', 0) is None for group in built.param_groups):  # upstream: layer decay
                what = f'is missing: {type_name(plain["constructor"])} hands on None, on which the optimizer fails'
                report.error('optim_wrapper.optimizer.weight_decay', what, 'give a number, such as 0.01')
            return check_schedulers(config, built, report)
    except _REFUSALS as error:
        report.error('optim_wrapper', f'does not build ({one_line(error)})', 'correct the part it names')
        return None


@contextmanager
def _silence() -> Iterator[None]:
    """Without what constructors log of each parameter: it comes again in training."""
    log = muted(MMLogger.get_current_instance(), below=logging.CRITICAL + 1)
    with log, warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        yield
