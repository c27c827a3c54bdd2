"""The three configs of one's own data, beside the parts that they build on."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import write_atomically
from dlc_mmseg.own_data.config_text import change_preset, fill_block, replace_docstring

CUSTOM = 'custom'
KINDS = ('dlc', 'source_only', 'baseline')


def config_name(kind: str, name: str) -> str:
    """File name of one of the three configs."""
    return f'{kind}_{name}.py'


def ready_configs(
    shipped: Path,
    name: str,
    values: Mapping[str, Any],
    docstring: str,
    *,
    network: str | None = None,
    iterations: int | None = None,
) -> dict[str, str]:
    """Text of the configs and of the parts that they build on.

    Args:
        shipped: Folder of the configs that come with the package.
        name: What their names end in, instead of `custom`.
        values: For the block of `dlc_custom.py`; ``preset`` among them.
        docstring: Of the first one.
        network: For that preset.
        iterations: For that preset.

    Returns:
        Text by path, relative to the folder of the configs.
    """
    texts = {config_name(kind, name): _read(shipped / config_name(kind, CUSTOM)) for kind in KINDS}
    for part in _bases(texts[config_name('dlc', name)]):
        texts |= _with_bases(shipped, part)
    main = fill_block(texts[config_name('dlc', name)], values)
    main = change_preset(main, values['preset'], network=network, iterations=iterations)
    texts[config_name('dlc', name)] = replace_docstring(main, docstring)
    for kind in KINDS:
        file = config_name(kind, name)
        for other in KINDS:
            texts[file] = texts[file].replace(config_name(other, CUSTOM), config_name(other, name))
    return texts


def check_loads(texts: Mapping[str, str], name: str) -> None:
    """Read the configs, which refuse what their block makes impossible, before any is written.

    Args:
        texts: Text by relative path.
        name: What their names end in.

    Raises:
        UserError: If one refuses.
    """
    with tempfile.TemporaryDirectory() as place:
        for path, text in texts.items():
            (Path(place) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(place) / path).write_text(text, encoding='utf-8')
        try:
            Config.fromfile(Path(place) / config_name('dlc', name))
        except Exception as error:  # a config is a program: it may raise anything
            reason = ' '.join(str(error).split())
            remedy = 'give other options, or another --preset or --network'
            raise UserError(config_name('dlc', name), f'would refuse this: {reason}', remedy) from error


def write_configs(folder: Path, texts: Mapping[str, str], *, overwrite: bool) -> list[Path]:
    """Write files, but none over another one.

    Args:
        folder: Where they belong.
        texts: Text by path relative to it.
        overwrite: Replace those that are there with other content.

    Returns:
        Files that were written; those with the same content are left alone.

    Raises:
        UserError: If one is there with other content, or cannot be written; then none is written.
    """
    try:
        missing = {path: text for path, text in texts.items() if not (folder / path).exists()}
        changed = [path for path in texts if path not in missing and _read(folder / path) != texts[path]]
        if changed and not overwrite:
            what = f'is there with other content ({len(changed)} such)'
            raise UserError(folder / changed[0], what, 'give another --name or --config_dir, or --overwrite')
        for path in [*missing, *changed]:
            write_atomically(folder / path, texts[path].encode())
    except OSError as error:
        raise UserError(
            folder, f'cannot be written ({error.strerror or error})', 'give another --config_dir'
        ) from error
    return [folder / path for path in [*missing, *changed]]


def _with_bases(shipped: Path, path: str) -> dict[str, str]:
    text = _read(shipped / path)
    found = {path: text}
    for part in _bases(text):
        found |= _with_bases(shipped, (Path(path).parent / part).as_posix())
    return found


def _bases(text: str) -> Sequence[str]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '_base_':
            value = ast.literal_eval(node.value)
            return [Path(part).as_posix() for part in ([value] if isinstance(value, str) else value)]
    return []


def _read(path: Path) -> str:
    return path.read_text(encoding='utf-8')
