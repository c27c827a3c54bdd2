"""``dlc-mmseg convert-potsdam``: ISPRS Potsdam packages to tiles."""

from __future__ import annotations

import argparse

from dlc_mmseg.commands import _convert_options as options
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.converters.isprs import convert_isprs
from dlc_mmseg.converters.potsdam import POTSDAM

_BANDS = {'irrg': ('irrg',), 'rgb': ('rgb',), 'both': ('irrg', 'rgb'), 'rgbir': ('rgbir',)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        'Cuts the ISPRS Potsdam orthophotos and labels into windows. Labels are encoded as by '
        'MMSegmentation: 0 boundary or unlabelled, 1 impervious surface, 2 building, 3 low vegetation, '
        '4 tree, 5 car, 6 clutter.\n'
        'A data set folder appears when it is complete; a stopped conversion continues when run again.'
    )
    parser.epilog = (
        'example:\n  python tools/convert_datasets/potsdam.py --dataset_path downloads/Potsdam '
        '--out_dir data/potsdam --clip_size 512 --stride_size 256 --bands both\n'
        'writes data/potsdam/{irrg,rgb}_512_s256/{img_dir,ann_dir}/{train,val}'
    )
    packages = (
        'folder with the ISPRS packages (2_Ortho_RGB.zip, 3_Ortho_IRRG.zip or 4_Ortho_RGBIR.zip, 5_Labels_all.zip or '
        '5_Labels_all_noBoundary.zip) or their extracted content, or Potsdam.zip itself'
    )
    options.add_cutting_options(parser, 'data/potsdam', packages)
    help_text = (
        'images to convert (default: those of irrg and rgb that are there); rgbir, all four bands, serves for irrg and '
        'rgb too where these are not there'
    )
    add_option(parser, 'bands', choices=tuple(_BANDS), help=help_text)
    options.add_isprs_options(parser)


def run(args: argparse.Namespace) -> None:
    """Convert."""
    options.check_cutting_options(args)
    convert_isprs(
        POTSDAM,
        args.dataset_path,
        args.out_dir,
        _BANDS[args.bands] if args.bands else None,
        clip_size=args.clip_size,
        stride_size=args.stride_size,
        labels=args.labels,
        max_unknown=args.max_unknown,
        skip_incomplete=args.skip_incomplete,
        workers=args.workers,
    )
