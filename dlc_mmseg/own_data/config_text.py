"""The block at the top of `dlc_custom.py`, filled in."""

from __future__ import annotations

import ast
import pprint
from collections.abc import Mapping
from typing import Any

_BEGIN, _END = '# ---- edit here', '# -----'
_WIDTH = 112


def fill_block(text: str, values: Mapping[str, Any]) -> str:
    """Replace values in the block; all else, comments too, stays.

    Args:
        text: The config.
        values: New value by variable.

    Returns:
        The config with these values.

    Raises:
        ValueError: If the block does not assign one of the variables.
    """
    lines = text.splitlines()
    first = next(number for number, line in enumerate(lines, 1) if line.startswith(_BEGIN))
    last = next(number for number, line in enumerate(lines, 1) if line.startswith(_END) and number > first)
    assigned = [node for node in ast.parse(text).body if isinstance(node, ast.Assign) and first < node.lineno < last]
    filled: set[str] = set()
    for node in reversed(assigned):
        names = [entry.id for entry in ast.walk(node.targets[0]) if isinstance(entry, ast.Name)]
        if not values.keys() & {*names}:
            continue
        filled |= {*names}
        parts = node.value.elts if isinstance(node.targets[0], ast.Tuple) else [node.value]  # type: ignore[attr-defined]
        new = [
            _written(values[name]) if name in values else ast.unparse(part)
            for name, part in zip(names, parts, strict=True)
        ]
        _replace(lines, node.value, ', '.join(new))
    missing = values.keys() - filled
    if missing:
        raise ValueError(f'the block does not assign {sorted(missing)}')
    return '\n'.join(lines) + '\n'


def change_preset(text: str, preset: str, *, network: str | None = None, iterations: int | None = None) -> str:
    """Another network or number of iterations for one of the presets.

    Args:
        text: The config.
        preset: Which.
        network: Name of the network; None leaves it.
        iterations: Their number; None leaves it.

    Returns:
        The config.
    """
    lines = text.splitlines()
    (node,) = (
        node
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == 'presets'
    )
    assert isinstance(node.value, ast.Call)
    presets = {str(entry.arg): ast.literal_eval(entry.value) for entry in node.value.keywords}
    old_network, crop, old_iterations = presets[preset]
    presets[preset] = (network or old_network, crop, iterations or old_iterations)
    _replace(lines, node.value, f'dict({", ".join(f"{name}={value!r}" for name, value in presets.items())})')
    return '\n'.join(lines) + '\n'


def replace_docstring(text: str, docstring: str) -> str:
    """A module with another docstring.

    Args:
        text: The module, which begins with one.
        docstring: The new one, without quotes.
    """
    lines = text.splitlines()
    node = ast.parse(text).body[0]
    lines[node.lineno - 1 : node.end_lineno] = f'"""{docstring}"""'.splitlines()
    return '\n'.join(lines) + '\n'


def _replace(lines: list[str], node: ast.expr, text: str) -> None:
    """Put text in the place of an expression; lines are counted in bytes, as `ast` does."""
    last = node.end_lineno or node.lineno
    before = lines[node.lineno - 1].encode()[: node.col_offset].decode()
    after = lines[last - 1].encode()[node.end_col_offset :].decode()
    lines[node.lineno - 1 : last] = (before + text + after).splitlines()


def _written(value: Any) -> str:
    flat = repr(value)
    return flat if len(flat) < _WIDTH else pprint.pformat(value, width=_WIDTH, compact=True, sort_dicts=False)
