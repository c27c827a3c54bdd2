"""Same as ``dlc-mmseg convert-whuoptsar``."""

import sys

from dlc_mmseg.cli import main

if __name__ == '__main__':
    sys.exit(main(['convert-whuoptsar', *sys.argv[1:]]))
