"""Checkpoints of the original implementations, converted from file to file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlc_mmseg.deploy.legacy.conversion import Conversion, convert_state_dict
from dlc_mmseg.deploy.legacy.target_model import build_model
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import atomic_writer
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file
from dlc_mmseg.version import __version__


def convert_checkpoint(source: Path, destination: Path, config: Path | None = None) -> Conversion:
    """Convert a file.

    Args:
        source: A checkpoint of DLC, MIC, HRDA or DAFormer, or SegFormer's ImageNet weights. It may come from
            anywhere: only tensors and plain values are read, no code in it is run (see `load_checkpoint_file`).
        destination: The file to write; an older one is replaced when all of the new one is on disk.
        config: Config of the model that shall load it, whose every tensor must be filled; None reads the
            architecture from the source.

    Returns:
        What was done.

    Raises:
        UserError: If the source cannot be read, holds a key that nothing knows, or does not fit.
    """
    state, meta = read_checkpoint(source)
    model = None if config is None else build_model(config)
    try:
        conversion = convert_state_dict(state, model, iteration=meta.get('iter', 0))
    except UserError as error:
        what = error.what if error.where is None else f'{error.where}: {error.what}'
        raise UserError(source, what, error.remedy) from error
    meta.update(converted_from=source.name, architecture=conversion.architecture, dropped=conversion.dropped)
    write_checkpoint(destination, conversion.state, meta)
    return conversion


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of a checkpoint; no code in the file is run (see `load_checkpoint_file`).

    Args:
        path: A file written by `torch.save`: a state dict, or a dict with one under ``state_dict`` or ``model``.

    Returns:
        The state dict, and what is worth keeping of its meta data: ``iter`` (iterations trained) and
        ``dataset_meta`` (``classes`` and ``palette``), where present.

    Raises:
        UserError: If the file is no checkpoint, or holds anything but tensors and plain values.
    """
    content = load_checkpoint_file(path)
    state: Any = content
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
    if path.is_dir():
        raise UserError(path, 'is a folder', 'give the name of a file')
    try:
        with atomic_writer(path) as file:
            torch.save(content, file)
    except OSError as error:
        raise UserError(path, error.strerror or str(error), 'give a file that can be written') from error


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
