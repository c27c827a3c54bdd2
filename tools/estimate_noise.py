"""Same as ``dlc-mmseg estimate-noise``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['estimate-noise', *sys.argv[1:]]))
