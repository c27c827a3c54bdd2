"""Same as ``dlc-mmseg convert-loveda``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['convert-loveda', *sys.argv[1:]]))
