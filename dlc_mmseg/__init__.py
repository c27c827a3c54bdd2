"""Dynamic Loss Correction for MMSegmentation 1.x; importing the package registers everything."""

from dlc_mmseg._framework import check_framework

check_framework()  # ahead of the imports that need the framework and would fail with a less useful message

from dlc_mmseg import datasets, engine, models  # noqa: E402
from dlc_mmseg.version import __version__  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'models']
