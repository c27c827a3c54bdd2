"""Reading checkpoints that may come from anywhere, and writing them so that none is ever half there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.plain_pickle import plain, stand_ins
from dlc_mmseg.version import __version__


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a checkpoint; no code in the file is run.

    Args:
        path: A file written by `torch.save`: a state dict, or a dict with one under ``state_dict`` or ``model``.

    Returns:
        The state dict, and what is worth keeping of its meta data: ``iter`` (iterations trained) and
        ``dataset_meta`` (``classes`` and ``palette``), where present.

    Raises:
        UserError: If the file is no checkpoint, or holds anything but tensors and plain values.
    """
    try:
        with torch.serialization.safe_globals(stand_ins()):
            content = plain(torch.load(path, map_location='cpu', weights_only=True))
    except MemoryError:
        raise
    except OSError as error:
        raise UserError(path, error.strerror or str(error), 'give the path of a checkpoint file') from error
    except Exception as error:  # a broken file may raise anything
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise UserError(
            path, f'cannot be read as tensors and plain values ({reason})', 'give a checkpoint file'
        ) from error
    state = content
    for name in ('state_dict', 'model'):
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            state = content[name]
            break
    if not isinstance(state, Mapping) or not state:
        raise UserError(path, 'holds no state dict', 'give a checkpoint with named tensors')
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UserError(
                path,
                f'entry {key!r} of the state dict is a {type(value).__name__}, not a tensor',
                'give a checkpoint with named tensors',
            )
    return dict(state), _description(content.get('meta'))


def write_checkpoint(path: Path, state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write a checkpoint in MMEngine's form; an existing file is replaced at the very end.

    Args:
        path: File to write; its folder is made where it is absent.
        state: The state dict.
        meta: Plain values that describe it.

    Raises:
        UserError: If the file cannot be written.
    """
    content = {
        'meta': {**meta, 'dlc_mmseg_version': __version__},
        'state_dict': {key: tensor.contiguous() for key, tensor in state.items()},
    }
    part = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        if path.is_dir():
            raise UserError(path, 'is a folder', 'give the name of a file')
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open('wb') as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        raise UserError(path, error.strerror or str(error), 'give a file that can be written') from error
    finally:
        part.unlink(missing_ok=True)


def _description(meta: Any) -> dict[str, Any]:
    """The plain values of a legacy meta dict that are still of use."""
    if not isinstance(meta, Mapping):
        return {}
    description: dict[str, Any] = {}
    if isinstance(meta.get('iter'), int):
        description['iter'] = meta['iter']
    if isinstance(meta.get('CLASSES'), (list, tuple)):
        description['dataset_meta'] = {'classes': tuple(str(name) for name in meta['CLASSES'])}
        if isinstance(meta.get('PALETTE'), (list, tuple)):
            description['dataset_meta']['palette'] = [list(map(int, colour)) for colour in meta['PALETTE']]
    return description
