"""The config that a user names: the option that changes it, and reading it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.registry import init_default_scope

from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.errors import UserError


def add_config_changes(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, with the meaning it has in `mim test`.

    Args:
        parser: Where to add it.
    """
    help_text = 'changes to the config, as in `mim test`: key.of.dict=value'
    add_option(parser, 'cfg_options', nargs='+', action=DictAction, metavar='KEY=VALUE', help=help_text)


def read_config(path: Path, changes: dict[str, Any] | None) -> Config:
    """Read a config file, apply what ``--cfg-options`` says, and look names up where the config says from now on.

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
    if path.read_bytes()[:3] == b'\xef\xbb\xbf':
        raise UserError(path, 'begins with a byte order mark, which Python refuses', 'save it as UTF-8 without it')
    try:
        config = Config.fromfile(path)
        config.merge_from_dict(changes or {})
    except Exception as error:  # a config is a program: it may raise anything
        reason = ' '.join(str(error).split())
        raise UserError(path, f'cannot be read as a config ({type(error).__name__}: {reason})', 'correct it') from error
    init_default_scope(config.get('default_scope') or 'mmseg')
    return config
