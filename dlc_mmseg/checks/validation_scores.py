"""Scores that hooks and schedules wait for, and that validation does not give: training would stop at the first one.

Only what is certain is reported: where a metric, a hook or a loop of another package may add scores, nothing is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from textwrap import shorten
from typing import Any, NamedTuple

from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.optim import ReduceOnPlateauParamScheduler
from mmseg.registry import HOOKS, PARAM_SCHEDULERS

from dlc_mmseg.checks.config_types import is_kind, resolve
from dlc_mmseg.checks.evaluators import Scores, scores_of
from dlc_mmseg.checks.loops import counts_epochs, hooks_of, schedulers_of
from dlc_mmseg.checks.report import Report, one_line

_VALIDATION = ('val_dataloader', 'val_cfg', 'val_evaluator')


class _Use(NamedTuple):
    """A part that waits for scores.

    Attributes:
        field: Field of the config that names them.
        names: Their names.
        rule: What is better, ``greater`` or ``less``; None if it is left to be guessed.
        stops: Whether training ends with an error where validation gives other scores.
        stops_without_any: The same where it gives none.
        removal: How to do without.
    """

    field: str
    names: list[str]
    rule: Any
    stops: bool
    stops_without_any: bool
    removal: str


def check_validation_scores(config: Mapping[str, Any], classes: Sequence[str] | None, report: Report) -> None:
    """Find scores that checkpoints, early stopping or a schedule wait for and validation does not give.

    Args:
        config: The whole config.
        classes: Names of the classes of the validation set; None if they are not known.
        report: Receives them, with metrics that cannot be measured.
    """
    given = [config.get(key) is not None for key in _VALIDATION]
    scores = scores_of(config, 'val', classes, report) if all(given) else None
    if config.get('test_evaluator') != config.get('val_evaluator'):
        scores_of(config, 'test', classes, report)
    for use in _uses(config):
        if not any(given):
            for name in use.names:
                what = f'{name!r} is never measured, there is no val_dataloader'
                report.warning(use.field, what, f'{use.removal}, or add validation')
        elif scores is not None:
            for index, name in enumerate(use.names):
                _check_score(use, name, _rule(use.rule, index), scores, report)
    for field, hook in hooks_of(config):
        _check_built(field, hook, report)


def _uses(config: Mapping[str, Any]) -> Iterator[_Use]:
    for field, hook in hooks_of(config):
        if is_kind(hook, HOOKS, CheckpointHook) and (names := hook.get('save_best')):
            names = [names] if isinstance(names, str) else names if isinstance(names, (list, tuple)) else []
            yield _Use(f'{field}.save_best', list(names), hook.get('rule'), True, False, 'set it to None')
        elif is_kind(hook, HOOKS, EarlyStoppingHook) and isinstance(name := hook.get('monitor'), str):
            strict = bool(hook.get('strict'))
            yield _Use(f'{field}.monitor', [name], hook.get('rule'), strict, strict, 'remove this hook')
    for field, part in schedulers_of(config):
        if is_kind(part, PARAM_SCHEDULERS, ReduceOnPlateauParamScheduler) and counts_epochs(part):
            name, rule = part.get('monitor', 'loss'), part.get('rule', 'less')
            yield _Use(f'{field}.monitor', [name], rule, True, True, 'take another scheduler')


def _rule(rule: Any, index: int) -> Any:
    """The rule of one of several names."""
    return rule[index % len(rule)] if isinstance(rule, (list, tuple)) and rule else rule


def _check_built(field: str, hook: Mapping[str, Any], report: Report) -> None:
    """Build hooks of MMEngine that choose by a score: a rule that cannot be guessed stops them."""
    built = resolve(hook, HOOKS)
    if built not in (CheckpointHook, EarlyStoppingHook):
        return
    arguments = {key: value for key, value in hook.items() if key not in ('type', '_scope_', 'priority')}
    key = 'save_best' if built is CheckpointHook else 'monitor'
    choice = arguments.get(key)
    fault = _fault(built, arguments)
    if fault is None:
        return
    if choice and _fault(built, {**arguments, 'rule': 'greater'}) is None:
        if any(problem.where == f'{field}.{key}' for problem in report.errors):
            return  # there is no such score, and the remedy for that tells the rule of another
        what = f'is {arguments.get("rule")!r}, which does not tell whether more of {choice!r} is better'
        report.error(f'{field}.rule', what, "set it to 'greater', or to 'less' if less is better")
    else:
        report.error(field, f'does not build ({one_line(fault)})', f'correct this argument of {built.__name__}')


def _fault(built: Any, arguments: Mapping[str, Any]) -> Exception | None:
    try:
        built(**arguments)
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        return error
    return None


def _check_score(use: _Use, name: str, rule: Any, scores: Scores, report: Report) -> None:
    stops = use.stops if scores.names else use.stops_without_any
    chosen = scores.names[0] if scores.names and name == 'auto' and use.field.endswith('.save_best') else name
    if chosen not in scores.names:
        given = shorten(', '.join(scores.names), 120, placeholder=' ..') or 'none'
        then = 'training stops at the first validation' if stops else 'it has no effect'
        what = f'{name!r} is no score of val_evaluator, which gives {given}: {then}'
        (report.error if stops else report.warning)(use.field, what, _remedy(use, name, rule, scores))
    elif name == 'auto' and rule is None and not _is_guessed(chosen):
        what = f"'auto' is {chosen!r} here, whose rule MMEngine cannot guess: training stops at the first validation"
        report.error(use.field, what, f"set it to {chosen!r} and rule to 'greater'")
    elif rule == 'less':
        what = f"'less' takes a lower {chosen} for the better one"
        report.warning(f'{use.field.rpartition(".")[0]}.rule', what, "set it to 'greater'")


def _remedy(use: _Use, name: str, rule: Any, scores: Scores) -> str:
    if name in scores.measurable:
        return f'add {scores.measurable[name]!r} to iou_metrics of val_evaluator{_with_rule(name, rule)}'
    others = [known for known in scores.names if known not in use.names]
    if not others:
        return f'{use.removal}, or measure it'
    short = {known.rpartition('/')[2].lower(): known for known in reversed(others)}  # without prefixes
    close = difflib.get_close_matches(name.rpartition('/')[2].lower(), list(short), 1)
    chosen = short[close[0]] if close else short.get('miou', others[0])
    return f'set it to {chosen!r}{_with_rule(chosen, rule)}'


def _with_rule(name: str, rule: Any) -> str:
    return '' if rule == 'greater' or (rule is None and _is_guessed(name)) else " and rule to 'greater'"


def _is_guessed(name: str) -> bool:
    """Whether MMEngine knows without a rule what is better."""
    return _fault(CheckpointHook, {'save_best': name}) is None
