"""Reading the config that a user names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

from dlc_mmseg.errors import UserError


def read_config(path: Path, changes: dict[str, Any] | None) -> Config:
    """Read a config file and apply what ``--cfg-options`` says.

    Args:
        path: The file.
        changes: Values by dotted key, or None.

    Returns:
        The config.

    Raises:
        UserError: If the file is missing or is no config.
    """
    if not path.is_file():
        raise UserError(path, 'no such config', 'give its path (`dlc-mmseg configs` lists those that come along)')
    try:
        config = Config.fromfile(path)
        config.merge_from_dict(changes or {})
    except Exception as error:  # a config is a program: it may raise anything
        reason = ' '.join(str(error).split())
        raise UserError(path, f'cannot be read as a config ({type(error).__name__}: {reason})', 'correct it') from error
    return config
