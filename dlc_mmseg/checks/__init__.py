"""What would stop or spoil a run, found before it starts."""

from dlc_mmseg.checks.preflight import Options, check_config
from dlc_mmseg.checks.report import Problem, Report, Track, printable, silent

__all__ = ['Options', 'Problem', 'Report', 'Track', 'check_config', 'printable', 'silent']
