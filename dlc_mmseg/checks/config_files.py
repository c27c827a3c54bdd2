"""Config files as programs: which files a config comes from, and what it would be if a variable had another value."""

from __future__ import annotations

import ast
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dlc_mmseg.checks.report import RAISED


def read_config(path: str | Path) -> dict[str, Any]:
    """Run a config file, without the imports that it asks for.

    Args:
        path: The file.

    Returns:
        The config as plain dicts.
    """
    content: dict[str, Any] = Config.fromfile(path, import_custom_modules=False).to_dict()
    return content


def config_chain(path: str) -> Iterator[str]:
    """A config file and those it is based on, by ``_base_`` or `read_base`; those of other packages left out.

    Args:
        path: The file.

    Yields:
        Paths, the file's own first.
    """
    yield path
    for base in _base_files(path):
        yield from config_chain(base)


def assigned_names(path: str) -> set[str]:
    """Variables that a config file gives a value.

    Args:
        path: The file.
    """
    return {name for statement in _statements(path) for name in _stored(statement)}


def read_with(path: str, name: str, value: Any) -> dict[str, Any] | None:
    """Run a config file with another value of a variable, wherever the file gives it one.

    Args:
        path: The file.
        name: The variable.
        value: Its value.

    Returns:
        The config as plain dicts; None where the file cannot be read with that value.
    """
    body: list[ast.stmt] = []
    for statement in _statements(path):
        body.append(_rebased(statement, path))
        if name in _stored(statement):
            body += ast.parse(f'{name} = {value!r}').body
    try:
        with tempfile.TemporaryDirectory() as folder:
            copy = _copied_chain(path, folder)
            copy.write_text(ast.unparse(ast.Module(body, [])), encoding='utf-8')
            return read_config(copy)
    except RAISED:  # a value of another type may break the program
        return None


def _statements(path: str) -> list[ast.stmt]:
    return ast.parse(Path(path).read_text(encoding='utf-8')).body


def _stored(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


def _base_files(path: str) -> list[str]:
    if Config._is_lazy_import(path):
        return [base for module in Config._get_base_modules(_statements(path)) if (base := _beside(path, module))]
    found = (Config._get_cfg_path(base, path) for base in Config._get_base_files(path))
    return [str(below) for below, scope in found if scope is None]


def _beside(path: str, module: str) -> str | None:
    """File that ``from ..folder.module import`` means in a config; None for modules of packages."""
    level = len(re.match(r'\.*', module).group())  # type: ignore[union-attr]
    if not level:
        return None
    return os.path.join(os.path.dirname(path), *['..'] * (level - 1), *module[level:].split('.')) + '.py'


def _copied_chain(path: str, folder: str) -> Path:
    """Where to write a changed config: `read_base` finds copies of its files there, at the same places beside it."""
    if not Config._is_lazy_import(path):
        return Path(folder, Path(path).name)
    files = [os.path.abspath(file) for file in config_chain(path)]
    common = os.path.commonpath([os.path.dirname(file) for file in files])
    for file in files:
        copy = Path(folder, os.path.relpath(file, common))
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(Path(file).read_bytes())
    return Path(folder, os.path.relpath(files[0], common))


def _rebased(statement: ast.stmt, path: str) -> ast.stmt:
    """The statement, naming base files by their full paths."""
    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == '_base_':
        bases = [str(Config._get_cfg_path(base, path)[0]) for base in Config._get_base_files(path)]
        return ast.parse(f'_base_ = {[str(Path(base).resolve()) for base in bases]!r}').body[0]
    return statement
