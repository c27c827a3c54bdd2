"""Read checkpoints without executing code that they may carry."""

from __future__ import annotations

import ast
import errno
import io
import logging
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.plain_pickle import plain, stand_ins

TRUSTED_VARIABLE = 'DLC_MMSEG_TRUSTED_CHECKPOINTS'
"""Environment variable: files, separated like PATH, that may run code while they are loaded."""


def load_checkpoint_file(path: str | Path, map_location: Any = 'cpu', *, mmap: bool = False) -> dict[str, Any]:
    """Load a local checkpoint written by MMEngine, or any file of plain tensors and containers.

    Config text inside, which MMEngine would run when it resumes or infers, is left out unless it consists of plain
    values. Files named in the environment variable ``DLC_MMSEG_TRUSTED_CHECKPOINTS`` are loaded as they are.

    Args:
        path: The file.
        map_location: As in `torch.load`.
        mmap: Leave tensors on disk until they are used, where the file's format allows.

    Returns:
        What the file holds.

    Raises:
        UserError: If the file is missing, unreadable, damaged, or holds objects other than tensors, numbers,
            containers and MMEngine's log buffers.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            path,
            'no such checkpoint',
            'give the path of a checkpoint file, such as the .pth that training writes to its work_dir',
        )
    if is_trusted(path):
        print_log(f'{path}: trusted by {TRUSTED_VARIABLE}, may run code', logger='current', level=logging.WARNING)
        return _as_dict(path, torch.load(path, map_location=map_location, weights_only=False))
    return read_safely(path, str(path), map_location, mmap=mmap)


def read_safely(
    file: str | Path | io.BytesIO, name: str, map_location: Any = 'cpu', *, mmap: bool = False
) -> dict[str, Any]:
    """Load a file or buffer as `load_checkpoint_file` does, without its opt-in.

    Args:
        file: Path or content.
        name: What messages call it.
        map_location: As in `torch.load`.
        mmap: Leave tensors on disk until they are used.

    Returns:
        What the file holds.

    Raises:
        UserError: As `load_checkpoint_file`.
    """
    try:
        with torch.serialization.safe_globals(stand_ins()):
            loaded = torch.load(file, map_location=map_location, weights_only=True, mmap=mmap)
        return without_code(_as_dict(name, plain(loaded)))
    except (UserError, MemoryError, torch.cuda.OutOfMemoryError):
        raise
    except Exception as error:  # a broken file may raise anything
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # which torch gets from files that are cut off
            reason = error.strerror or str(error)
            remedy = 'give the right to read it, or copy it again'
            raise UserError(name, f'cannot be read ({reason})', remedy) from error
        if isinstance(error, pickle.UnpicklingError) and not _is_cut_off(file):
            raise _refusal(name, str(error)) from error
        if mmap and 'mmap can only be used' in str(error):  # files of torch < 1.6
            return read_safely(file, name, map_location)
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip('. ')
        reason = 'its end is missing' if _is_cut_off(file) else reason
        raise UserError(
            name,
            f'cannot be read ({reason}), the file is cut off, damaged or no checkpoint',
            'copy it again, or take the checkpoint before it',
        ) from error


def is_trusted(path: str | Path) -> bool:
    """Whether the user vouches for a file in ``DLC_MMSEG_TRUSTED_CHECKPOINTS``.

    Args:
        path: The file; links are followed.
    """
    named = os.environ.get(TRUSTED_VARIABLE, '').split(os.pathsep)
    return os.path.realpath(path) in {os.path.realpath(os.path.expanduser(item)) for item in named if item}


def without_code(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Take out config text that MMEngine would run: of old runs on resuming, of the run itself on inference.

    Args:
        checkpoint: What was loaded; changed in place.

    Returns:
        The same.
    """
    meta, hub = checkpoint.get('meta'), checkpoint.get('message_hub')
    runtime = hub.get('runtime_info') if isinstance(hub, dict) else None
    for holder, name in ((meta, 'config'), (meta, 'cfg'), (runtime, 'cfg')):
        if isinstance(holder, dict) and name in holder and not _only_values(holder[name]):
            del holder[name]
    return checkpoint


def _only_values(text: object) -> bool:
    """Whether config text assigns nothing but literals and ``dict(...)``, and builds on no other file."""
    if not isinstance(text, str) or '{{' in text:  # MMEngine substitutes variables before it runs the text
        return False
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    for statement in statements:
        if not isinstance(statement, ast.Assign) or not all(map(_is_value, ast.walk(statement.value))):
            return False
        for target in statement.targets:
            if not isinstance(target, ast.Name) or target.id in ('_base_', 'dict'):
                return False
    return True


def _is_value(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return node.id == 'dict'
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name)
    values = (ast.Constant, ast.Dict, ast.List, ast.Tuple, ast.Set, ast.UnaryOp, ast.unaryop, ast.keyword)
    return isinstance(node, (*values, ast.expr_context))


def _is_cut_off(file: object) -> bool:
    """Whether a file begins like the archives that torch writes, but does not end like one."""
    if not isinstance(file, Path):
        return False
    with file.open('rb') as stream:
        return stream.read(2) == b'PK' and not zipfile.is_zipfile(file)


def _refusal(name: str, reason: str) -> UserError:
    """One line from torch's many: the global it names, or what a stand-in says."""
    found = re.search(r'GLOBAL (\S+)|(?:class|function) (\S+)', reason)
    detail = reason.rpartition('WeightsUnpickler error:')[2].strip().splitlines() or ['objects']
    what = next((part for part in found.groups() if part), '') if found else detail[0][:80]
    return UserError(
        name,
        (f'refused, it holds {what.rstrip(".,")} beside tensors, numbers and containers and could run code on loading'),
        (
            'take a checkpoint that holds a state_dict only or, if you trust its author, set '
            f'{TRUSTED_VARIABLE} to its path'
        ),
    )


def _as_dict(name: object, loaded: Any) -> dict[str, Any]:
    if not isinstance(loaded, dict):
        raise UserError(name, f'holds a {type(loaded).__name__}, no state dict', 'take a checkpoint file')
    return loaded
