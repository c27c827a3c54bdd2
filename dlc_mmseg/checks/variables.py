"""Variables at the top of a config that were changed after the fields made from them.

A config file is a program that is run once. ``--cfg-options`` and child configs change its result: a variable that
fields were computed from changes alone, and nothing reads it any more (open-mmlab/mmselfsup issue 203).
"""

from __future__ import annotations

import ast
import inspect
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

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


def check_variables(config: Mapping[str, Any], path: str | None, report: Report) -> None:
    """Find variables whose new value reaches no field.

    Args:
        config: The whole config.
        path: File that it was read from, to be run again with the new values; without one only `AS_READ` tells.
        report: Receives each, with the fields to set in its place.
    """
    variables = {name: value for name, value in config.items() if name not in READ}
    seen = _check_file(config, variables, path, report) if path and Path(path).suffix == '.py' else set()
    recorded = config.get(AS_READ) or {}
    for name, value in variables.items():
        if name in seen:
            continue
        if name in recorded and recorded[name] != value:
            fields = [field for field, found in leaves(_read_part(config), whole=True) if found == recorded[name]]
            _report(name, value, recorded[name], dict.fromkeys(fields, value), report)


def _check_file(config: Mapping[str, Any], variables: Mapping[str, Any], path: str, report: Report) -> set[str]:
    """Variables that could be judged by running the files again."""
    judged: set[str] = set()
    try:
        files = list(_chain(path))
        read = {file: Config.fromfile(file, import_custom_modules=False).to_dict() for file in files}
    except RAISED:  # a config is a program; that it cannot be read is reported by who reads it
        return judged
    for name, value in variables.items():
        if name not in read[path]:
            report.warning(name, 'is read by nothing', meant(name, sorted({*READ, *read[path]} - {name})))
            judged.add(name)
            continue
        for file in files:
            old = read[file].get(name)
            if name not in _assigned(file) or old == value:
                continue
            follow = _dependents(file, name, value, read[file])
            if follow is None:  # the file refuses the value, alone or beside the others
                continue
            judged.add(name)
            now = dict(leaves(config))
            stale = {field: new for field, (before, new) in follow.items() if now.get(field) == before}
            if stale:
                _report(name, value, old, stale, report, file)
    return judged


def _chain(path: str) -> Iterator[str]:
    """A config file and those it is based on."""
    yield path
    for base in Config._get_base_files(path):
        below, scope = Config._get_cfg_path(base, path)
        if scope is None:
            yield from _chain(str(below))


def _assigned(path: str) -> set[str]:
    return _stored(ast.parse(Path(path).read_text(encoding='utf-8')))


def _stored(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _dependents(path: str, name: str, value: Any, read: Mapping[str, Any]) -> dict[str, tuple[Any, Any]] | None:
    """Fields that would be others if a file gave a variable another value: as they are, and as they would be.

    None where the file cannot be read with that value.
    """
    tree = ast.parse(Path(path).read_text(encoding='utf-8'))
    body: list[ast.stmt] = []
    for statement in tree.body:
        body.append(_rebased(statement, path))
        stored = (
            node for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        if any(node.id == name for node in stored):
            body += ast.parse(f'{name} = {value!r}').body
    tree.body = body
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, Path(path).name)
            copy.write_text(ast.unparse(tree), encoding='utf-8')
            other = Config.fromfile(copy, import_custom_modules=False).to_dict()
    except RAISED:  # a value of another type may break the program
        return None
    before, after = dict(leaves(_read_part(read))), dict(leaves(_read_part(other)))
    return {field: (old, after[field]) for field, old in before.items() if field in after and after[field] != old}


def _rebased(statement: ast.stmt, path: str) -> ast.stmt:
    """The statement, naming base files by their full paths."""
    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == '_base_':
        bases = [str(Config._get_cfg_path(base, path)[0]) for base in Config._get_base_files(path)]
        return ast.parse(f'_base_ = {[str(Path(base).resolve()) for base in bases]!r}').body[0]
    return statement


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
