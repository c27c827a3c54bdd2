"""Dynamic Loss Correction for MMSegmentation 1.x; importing the package registers everything."""

from dlc_mmseg import datasets, engine, models
from dlc_mmseg.version import __version__

__all__ = ['__version__', 'datasets', 'engine', 'models']
