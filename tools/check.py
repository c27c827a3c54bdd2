"""Same as ``dlc-mmseg check``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['check', *sys.argv[1:]]))
