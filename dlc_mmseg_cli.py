"""The console script `dlc-mmseg`.

It stands beside the package, since importing `dlc_mmseg` registers everything with MMSegmentation: seconds and hundreds
of MiB that help, configs, converters and demo data do not need. Commands that use networks register for themselves.
"""

import os


def console() -> None:
    """Run the command that the process was started with, and end with its status."""
    os.environ['DLC_MMSEG_REGISTER'] = '0'
    from dlc_mmseg import cli

    cli.console()
