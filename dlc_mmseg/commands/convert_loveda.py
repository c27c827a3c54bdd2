"""``dlc-mmseg convert-loveda``: the LoveDA tiles, checked, where the configs expect them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dlc_mmseg.commands._convert_options import check_converter_options
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.converters.loveda import PARTS, SCENES, convert_loveda


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        'Checks the LoveDA tiles (1024 x 1024 pixels) and puts them where the configs expect them, as published.\n'
        'Masks: 0 no data, ignored in training; 1 background, 2 building, 3 road, 4 water, 5 barren, 6 forest, '
        '7 agriculture.\nTest has no masks. The configs adapt from one scene type of Train to the other one of Val.\n'
        'A folder appears when it is complete; a stopped conversion continues when run again.'
    )
    parser.epilog = (
        'example:\n  dlc-mmseg convert-loveda --dataset_path downloads/loveda --out_dir data/loveDA\n'
        '  (or python tools/convert_datasets/loveda.py with the same options)\n'
        'writes data/loveDA/{Train,Val}/{Urban,Rural}/{images_png,masks_png} and '
        'data/loveDA/Test/{Urban,Rural}/images_png'
    )
    help_text = 'folder with Train.zip, Val.zip and Test.zip, or with what they hold extracted; or one of them'
    add_option(parser, 'dataset_path', type=Path, required=True, metavar='PATH', help=help_text)
    help_text = 'folder of the data set (default: data/loveDA, where the configs look)'
    add_option(parser, 'out_dir', type=Path, default=Path('data/loveDA'), metavar='DIR', help=help_text)
    help_text = 'parts to convert (default: those that are there)'
    add_option(parser, 'parts', nargs='+', choices=PARTS, default=list(PARTS), help=help_text)
    help_text = 'scene types to convert (default: both)'
    add_option(parser, 'scenes', nargs='+', choices=SCENES, default=list(SCENES), help=help_text)
    workers = min(4, os.cpu_count() or 1)
    add_option(
        parser, 'workers', type=int, default=workers, metavar='N', help='processes (default: one per core, at most 4)'
    )
    help_text = 'share of pixels per mask with other values than 0 to 7 that become 0, no data (default: 0)'
    add_option(parser, 'max_unknown', type=float, default=0.0, metavar='SHARE', help=help_text)
    help_text = 'leave out tiles that lack the image or the mask instead of stopping'
    add_option(parser, 'skip_incomplete', action='store_true', help=help_text)


def run(args: argparse.Namespace) -> None:
    """Convert."""
    check_converter_options(args)
    convert_loveda(
        args.dataset_path,
        args.out_dir,
        [part for part in PARTS if part in args.parts],
        [scene for scene in SCENES if scene in args.scenes],
        max_unknown=args.max_unknown,
        skip_incomplete=args.skip_incomplete,
        workers=args.workers,
    )
