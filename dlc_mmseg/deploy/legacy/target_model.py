"""The model that a converted checkpoint shall fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

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
