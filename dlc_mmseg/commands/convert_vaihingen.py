"""``dlc-mmseg convert-vaihingen``: ISPRS Vaihingen packages to tiles."""

from __future__ import annotations

import argparse

from dlc_mmseg.commands import _convert_options as options
from dlc_mmseg.converters.isprs import convert_isprs
from dlc_mmseg.converters.vaihingen import VAIHINGEN


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        'Cuts the ISPRS Vaihingen orthophotos and labels into windows. Labels are encoded as by '
        'MMSegmentation: 0 boundary or unlabelled, 1 impervious surface, 2 building, 3 low vegetation, '
        '4 tree, 5 car, 6 clutter.\n'
        'A data set folder appears when it is complete; a stopped conversion continues when run again.'
    )
    parser.epilog = (
        'example:\n  python tools/convert_datasets/vaihingen.py --dataset_path downloads/Vaihingen '
        '--out_dir data/vaihingen --clip_size 512 --stride_size 256\n'
        'writes data/vaihingen/irrg_512_s256/{img_dir,ann_dir}/{train,val}'
    )
    packages = (
        'folder with the ISPRS packages (ISPRS_semantic_labeling_Vaihingen.zip and '
        '..._ground_truth_COMPLETE.zip or ..._ground_truth_eroded_COMPLETE.zip) or their extracted content, or '
        'Vaihingen.zip itself; images are known by their folder "top", as full labels have the same file names'
    )
    options.add_cutting_options(parser, 'data/vaihingen', packages)
    options.add_isprs_options(parser)


def run(args: argparse.Namespace) -> None:
    """Convert."""
    options.check_cutting_options(args)
    convert_isprs(
        VAIHINGEN,
        args.dataset_path,
        args.out_dir,
        ('irrg',),
        clip_size=args.clip_size,
        stride_size=args.stride_size,
        labels=args.labels,
        max_unknown=args.max_unknown,
        skip_incomplete=args.skip_incomplete,
        workers=args.workers,
    )
