"""Variables at the top of a config that were changed after the fields made from them.

A config file is a program that is run once. ``--cfg-options`` and child configs change its result: a variable that
fields were computed from changes alone, and nothing reads it any more (open-mmlab/mmselfsup issue 203).
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.runner import Runner

from dlc_mmseg.checks.config_files import assigned_names, config_chain, read_config, read_with
from dlc_mmseg.checks.model_config import meant
from dlc_mmseg.checks.report import RAISED, Report

AS_READ = 'as_read'
"""Variable in which a config keeps the values that its fields are made from."""

READ = frozenset({
    *inspect.signature(Runner.__init__).parameters,
    'activation_checkpointing', 'auto_scale_lr', 'compile', 'custom_imports', 'device', 'efficient_conv_bn_eval',
    'gpu_ids', 'optimizer', 'runner_type', 'seed', 'strategy', 'sync_bn', 'test_pipeline', 'tta_cfg', 'tta_model',
    'tta_pipeline', AS_READ,
})  # fmt: skip
"""Names at the top of a config that MMEngine, MMSegmentation or their tools read."""

_SHOWN = 4
_ABSENT = object()
_UNREAD = 'is read by nothing'


def check_variables(config: Mapping[str, Any], path: str | None, report: Report) -> None:
    """Find variables whose new value reaches no field.

    Args:
        config: The whole config.
        path: File that it was read from, to be run again with the new values; without one only `AS_READ` tells.
        report: Receives each, with the fields to set in its place.
    """
    variables = {name: value for name, value in config.items() if name not in READ}
    try:
        files = list(config_chain(path)) if path and path.endswith('.py') else [path] if path else []
        read = {file: read_config(file) for file in files}
    except RAISED:  # a config is a program; that it cannot be read is reported by who reads it
        read = {}
    recorded = config.get(AS_READ) or {}
    own = read.get(str(path), {})
    for name, value in variables.items():
        follows = list(_follows(config, name, value, read))
        outside = bool(read) and own.get(name, _ABSENT) != value  # changed by --cfg-options
        if read and name not in own:
            report.warning(name, _UNREAD, meant(name, sorted({*READ, *own} - {name})))
        elif any(follow.stale for follow in follows):
            for follow in follows:
                if follow.stale:
                    _report(name, value, follow.old, follow.stale, report, follow.file)
        elif any(follow.reached or (follow.replaced and not outside) for follow in follows):
            continue
        elif name in recorded and recorded[name] != value:
            fields = [field for field, found in leaves(_read_part(config), whole=True) if found == recorded[name]]
            _report(name, value, recorded[name], dict.fromkeys(fields, value), report)
        elif outside and not any(follow.refused for follow in follows):
            report.warning(name, f'{_short(value)} {_UNREAD}', 'set the field that is meant')


class _Follow(NamedTuple):
    """What would follow a variable, if a file gave it the value that it has now.

    Attributes:
        file: The file.
        old: Its value there.
        stale: Fields that are still as they were, with the values that they would have.
        reached: Whether some field has the value that it would have.
        replaced: Whether all such fields have other values by now, which a child config gave them.
        refused: Whether the file cannot be read with that value.
    """

    file: str
    old: Any
    stale: Mapping[str, Any] = {}
    reached: bool = False
    replaced: bool = False
    refused: bool = False


def _follows(
    config: Mapping[str, Any], name: str, value: Any, read: Mapping[str, Mapping[str, Any]]
) -> Iterator[_Follow]:
    """What would follow in each file that gives a variable another value."""
    now = dict(leaves(config))
    for file, content in read.items():
        if not file.endswith('.py') or name not in assigned_names(file) or content.get(name) == value:
            continue
        other = read_with(file, name, value)
        if other is None:
            yield _Follow(file, content.get(name), refused=True)
            continue
        before, after = dict(leaves(_read_part(content))), dict(leaves(_read_part(other)))
        fields = {field: new for field, new in after.items() if before.get(field, _ABSENT) != new}
        stale = {field: new for field, new in fields.items() if now.get(field, _ABSENT) == before.get(field, _ABSENT)}
        reached = any(now.get(field, _ABSENT) == new for field, new in fields.items())
        yield _Follow(file, content.get(name), stale, reached, replaced=bool(fields) and not stale and not reached)


def leaves(value: Any, name: str = '', *, whole: bool = False) -> Iterator[tuple[str, Any]]:
    """Values of a config that hold no other ones.

    Args:
        value: The config, or a part of it.
        name: Its field.
        whole: Whether lists and tuples come as a whole, too.

    Yields:
        Field and value.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from leaves(item, f'{name}.{key}' if name else str(key), whole=whole)
        return
    if not isinstance(value, (list, tuple)) or whole:
        yield name, value
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from leaves(item, f'{name}.{index}', whole=whole)


def _read_part(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key in READ and key != AS_READ}


def _report(name: str, value: Any, old: Any, fields: Mapping[str, Any], report: Report, file: str = '') -> None:
    shown = [f'{field}={_short(new)}' for field, new in list(fields.items())[:_SHOWN]]
    more = f' and {len(fields) - _SHOWN} more' if len(fields) > _SHOWN else ''
    what = f'{_short(value)} is read by nothing, fields were made from {_short(old)} when {file or "the file"} was read'
    instead = f'set {", ".join(shown)}{more} instead, or ' if shown else ''
    report.warning(name, what, f'{instead}edit {name} in {file or "the file that makes them"}')


def _short(value: Any) -> str:
    text = repr(value).replace(' ', '')
    return text if len(text) <= 60 else f'{text[:56]} ..'
