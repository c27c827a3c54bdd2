"""Raw data sets to tiles."""

from dlc_mmseg.converters.isprs import convert_isprs
from dlc_mmseg.converters.potsdam import POTSDAM
from dlc_mmseg.converters.vaihingen import VAIHINGEN
from dlc_mmseg.converters.whuoptsar import WhuOptSarReading, convert_whuoptsar

__all__ = ['POTSDAM', 'VAIHINGEN', 'WhuOptSarReading', 'convert_isprs', 'convert_whuoptsar']
