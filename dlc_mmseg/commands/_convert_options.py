"""Options that the converter commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.errors import UserError

LARGEST_UNKNOWN = 0.5
"""Largest share of a label's pixels that can be told to be tolerated; what is unknown beyond it is no label."""


def add_cutting_options(parser: argparse.ArgumentParser, out_dir: str, dataset_path: str) -> None:
    """Add the options of every converter.

    Args:
        parser: Where to add them.
        out_dir: Default folder of the data set.
        dataset_path: What the input holds, for the help.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_option(parser, 'dataset_path', type=Path, required=True, metavar='PATH', help=dataset_path)
    help_text = f'folder of the data set, to which one folder per variant is added (default: {out_dir})'
    add_option(parser, 'out_dir', type=Path, default=Path(out_dir), metavar='DIR', help=help_text)
    help_text = 'side of the windows in pixels (default: 512); smaller images are extended by mirroring, unlabelled'
    add_option(parser, 'clip_size', type=int, default=512, metavar='N', help=help_text)
    help_text = 'step between windows in pixels (default: 256); the last window of a row ends at the border'
    add_option(parser, 'stride_size', type=int, default=256, metavar='N', help=help_text)
    workers = min(4, os.cpu_count() or 1)
    help_text = 'processes, about 0.5 GB of memory each for tiles of 6000 x 6000 (default: one per core, at most 4)'
    add_option(parser, 'workers', type=int, default=workers, metavar='N', help=help_text)


def add_isprs_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the two ISPRS data sets."""
    help_text = (
        'full: up to the class boundaries; eroded: without them (noBoundary); auto (default): full ones if '
        'every tile has one, else eroded ones if every tile has one, else whichever a tile has'
    )
    add_option(parser, 'labels', choices=('auto', 'full', 'eroded'), default='auto', help=help_text)
    help_text = 'share of pixels per label that may have an unknown colour and become unlabelled (default: 0)'
    add_option(parser, 'max_unknown', type=float, default=0.0, metavar='SHARE', help=help_text)
    help_text = 'leave out tiles that lack an image or the label instead of stopping'
    add_option(parser, 'skip_incomplete', action='store_true', help=help_text)


def check_cutting_options(args: argparse.Namespace) -> None:
    """Refuse impossible sizes.

    Raises:
        UserError: If one is out of range.
    """
    if args.clip_size < 1:
        raise UserError(
            f'--clip_size {args.clip_size}', 'tiles would have no pixels', 'give a positive number of pixels'
        )
    if not 1 <= args.stride_size <= args.clip_size:
        raise UserError(
            f'--stride_size {args.stride_size}',
            'steps of 0 would not end, and larger ones than tiles leave pixels out',
            f'give 1 to {args.clip_size} (--clip_size)',
        )
    check_converter_options(args)


def check_converter_options(args: argparse.Namespace) -> None:
    """Refuse impossible numbers of workers and shares.

    Raises:
        UserError: If one is out of range.
    """
    if args.workers < 1:
        raise UserError(f'--workers {args.workers}', 'nobody would do the work', 'give at least 1')
    share = getattr(args, 'max_unknown', 0.0)
    if not 0 <= share <= 1:
        raise UserError(f'--max_unknown {share}', 'is no share of the pixels', 'give a number between 0 and 1')
    if share > LARGEST_UNKNOWN:
        what = f'would pass labels of which more than {LARGEST_UNKNOWN:.0%} are unknown'
        raise UserError(f'--max_unknown {share}', what, f'give at most {LARGEST_UNKNOWN}, and repair other labels')
