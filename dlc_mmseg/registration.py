"""Making everything known to MMSegmentation, which importing `dlc_mmseg` does unless the process has opted out.

Python runs a package's ``__init__`` once, before the first of its modules. Whether it registers is therefore a matter
of the whole process: had `dlc_mmseg.functional` come first and registered nothing, a config that imports `dlc_mmseg`
later would find its classes missing.
"""

from __future__ import annotations

import os

SWITCH = 'DLC_MMSEG_REGISTER'
"""Environment variable; ``0`` keeps importing `dlc_mmseg` from importing PyTorch and MMSegmentation."""


def is_wanted() -> bool:
    """Whether importing `dlc_mmseg` registers: always, but where ``DLC_MMSEG_REGISTER=0`` is set."""
    return os.environ.get(SWITCH) != '0'


def register() -> None:
    """Add the package's datasets, models and hooks to MMSegmentation's registries; nothing there is replaced.

    Raises:
        ImportError: If the framework is missing, incomplete or of another version, with one line that says what to do.
    """
    from dlc_mmseg._framework import check_framework

    check_framework()  # ahead of the imports that would fail with a less useful message
    from dlc_mmseg import datasets, engine, models  # noqa: F401

    os.environ.pop(SWITCH, None)  # processes that this one starts register too
