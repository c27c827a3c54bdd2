"""Same as ``dlc-mmseg convert-vaihingen``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['convert-vaihingen', *sys.argv[1:]]))
