"""`dlc-mmseg report`: training runs as one HTML page that needs nothing beside it."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from dlc_mmseg.commands._progress import progress_bar
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.deploy.report.page import build_page
from dlc_mmseg.deploy.report.work_dirs import read_runs
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import write_atomically

_EPILOG = """The page holds the figures and the IoU of each class side by side, curves of losses, pseudo-labels and T,
the pictures made during training, and the tiles that the last run named segments best, in the middle and worst. Name
the run that is compared with first.

example:
  dlc-mmseg report work_dirs/source_only_custom work_dirs/dlc_custom --out report.html
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = 'Write one self-contained HTML page about training runs.'
    parser.epilog = _EPILOG
    parser.add_argument('work_dirs', metavar='WORK_DIR', type=Path, nargs='+', help='work_dir of a training run')
    help_out = 'the page (default: report.html)'
    add_option(parser, 'out', metavar='FILE', type=Path, default=Path('report.html'), help=help_out)
    help_tiles = 'tiles that each run predicts to find the best and the worst; 0 predicts nothing (default: 64)'
    add_option(parser, 'tiles', metavar='N', type=int, default=64, help=help_tiles)
    add_option(parser, 'device', default='cuda' if torch.cuda.is_available() else 'cpu', help='default: %(default)s')


def run(args: argparse.Namespace) -> None:
    """Read the runs and write the page.

    Args:
        args: See `configure`.

    Raises:
        UserError: If a folder holds no training run, or the page cannot be written.
    """
    if args.tiles < 0:
        raise UserError('--tiles', f'is {args.tiles}', 'give a number >= 0')
    if args.out.is_dir():
        raise UserError(args.out, 'is a folder', 'give --out the name of a file, such as report.html')
    runs = read_runs(args.work_dirs)
    page, notes = build_page(runs, tiles=args.tiles, device=args.device, progress=progress_bar)
    try:
        write_atomically(args.out, page.encode('utf-8', 'backslashreplace'))
    except OSError as error:
        raise UserError(args.out, error.strerror or str(error), 'give --out a place that can be written') from error
    for note in notes:
        print(f'note: {note}')
    print(f'written: {args.out} ({len(page) / 1e6:.1f} MB)')
