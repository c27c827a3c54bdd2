"""Same as ``dlc-mmseg make-demo-data``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['make-demo-data', *sys.argv[1:]]))
