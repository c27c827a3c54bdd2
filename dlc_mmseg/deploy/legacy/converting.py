"""Checkpoints of the original implementations, brought to MMSegmentation 1.x and this package: files in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from dlc_mmseg.deploy.legacy.checkpoint_files import read_checkpoint, write_checkpoint
from dlc_mmseg.deploy.legacy.conversion import Conversion, convert_state_dict
from dlc_mmseg.errors import UserError

_CONFIG_ERRORS = (
    OSError,
    SyntaxError,
    ImportError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    AssertionError,
    RuntimeError,
)


def convert_checkpoint(source: Path, destination: Path, config: Path | None = None) -> Conversion:
    """Convert a file.

    Args:
        source: A checkpoint of DLC, MIC, HRDA or DAFormer, or SegFormer's ImageNet weights. It may come from
            anywhere: only tensors and plain values are read, no code in it is run.
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


def build_model(config: Path) -> nn.Module:
    """The model of a config, with random weights: nothing is downloaded.

    Args:
        config: Config file with a ``model``.

    Returns:
        The model on the CPU.

    Raises:
        UserError: If the config cannot be read or its model not be built.
    """
    try:
        content = Config.fromfile(config)
        init_default_scope(content.get('default_scope') or 'mmseg')
        model: nn.Module = MODELS.build(_without_weights(content.model.to_dict()))
    except _CONFIG_ERRORS as error:
        reason = str(error).strip().splitlines()
        raise UserError(
            config,
            f'its model cannot be built ({type(error).__name__}: {reason[0] if reason else ""})',
            'give a config that trains',
        ) from error
    return model


def _without_weights(config: Any) -> Any:
    """A config without the entries that fetch weights."""
    if isinstance(config, dict):
        return {key: _without_weights(value) for key, value in config.items() if key not in ('init_cfg', 'pretrained')}
    if isinstance(config, (list, tuple)):
        return type(config)(_without_weights(value) for value in config)
    return config
