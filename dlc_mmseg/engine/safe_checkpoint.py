"""Deprecated name of `dlc_mmseg.files.safe_checkpoint`."""

import warnings

from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file

__all__ = ['load_checkpoint_file']

warnings.warn(
    'dlc_mmseg.engine.safe_checkpoint is deprecated: import load_checkpoint_file from dlc_mmseg.files.safe_checkpoint',
    DeprecationWarning,
    stacklevel=2,
)
