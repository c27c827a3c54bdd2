"""Same as ``dlc-mmseg convert-checkpoint``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['convert-checkpoint', *sys.argv[1:]]))
