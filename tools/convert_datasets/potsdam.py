"""Same as ``dlc-mmseg convert-potsdam``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['convert-potsdam', *sys.argv[1:]]))
