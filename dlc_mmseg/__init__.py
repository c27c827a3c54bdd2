"""Dynamic Loss Correction for MMSegmentation 1.x; importing the package registers everything.

It replaces nothing of the framework; `dlc_mmseg.safe_files` does, where it is imported too. With the environment
variable ``DLC_MMSEG_REGISTER=0`` nothing is registered either, until `register` is called.
"""

from dlc_mmseg.registration import is_wanted, register
from dlc_mmseg.version import __version__

__all__ = ['__version__', 'register']

if is_wanted():
    register()
