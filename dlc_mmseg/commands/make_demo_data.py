"""``dlc-mmseg make-demo-data``: drawn aerial scenes in the raw ISPRS layouts."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.progress import track

from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.converters.demo.drawing import DemoOptions, make_demo_data


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    default = DemoOptions()
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        'Draws aerial scenes (buildings, streets, lawns, trees, cars, clutter) in the raw ISPRS layouts, names and\n'
        'label colours: Potsdam as source, Vaihingen as target, tile names from the published train and val splits.\n'
        'Gap between the two: spectral response (band mixing, white balance, gamma, haze), sun and shadows\n'
        '(from the south-east, 50 degrees high, against south-west and 40), 5 against 9 cm per pixel, both times\n'
        '--coarsening (the target shows the same things 1.8 times smaller), blur and noise, class shares (wide\n'
        'streets and lawns against an old town with more trees, fewer cars, little clutter).\n'
        'The same seed and library versions give the same bytes.'
    )
    parser.epilog = (
        'example:\n  python tools/make_demo_data.py --out_dir data/demo_raw --seed 0\n'
        'writes data/demo_raw/potsdam/{2_Ortho_RGB,3_Ortho_IRRG,5_Labels_all} and\n'
        'data/demo_raw/vaihingen/{top,ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE}; '
        'cut them with\n  python tools/convert_datasets/potsdam.py --dataset_path data/demo_raw/potsdam '
        '--clip_size 128 --stride_size 128\n  python tools/convert_datasets/vaihingen.py --dataset_path '
        'data/demo_raw/vaihingen --clip_size 128 --stride_size 128'
    )
    help_folder = 'new or empty folder, or one with demo data, which is replaced'
    add_option(parser, 'out_dir', type=Path, required=True, metavar='DIR', help=help_folder)
    add_option(parser, 'seed', type=int, default=default.seed, metavar='N', help='default: %(default)s')
    help_size = 'side of a tile in pixels (default: %(default)s; real ones have 6000)'
    add_option(parser, 'size', type=int, default=default.size, metavar='N', help=help_size)
    for name, tiles in (('potsdam_tiles', default.potsdam_tiles), ('vaihingen_tiles', default.vaihingen_tiles)):
        help_tiles = f'number of training and validation tiles (default: {tiles[0]} {tiles[1]})'
        add_option(parser, name, type=int, nargs=2, default=tiles, metavar=('TRAIN', 'VAL'), help=help_tiles)
    help_factor = 'factor on 5 and 9 cm per pixel, so that a small tile still shows a street (default: %(default)s)'
    add_option(parser, 'coarsening', type=float, default=default.coarsening, metavar='F', help=help_factor)


def run(args: argparse.Namespace) -> None:
    """Draw the data."""
    options = DemoOptions(
        seed=args.seed,
        size=args.size,
        potsdam_tiles=tuple(args.potsdam_tiles),
        vaihingen_tiles=tuple(args.vaihingen_tiles),
        coarsening=args.coarsening,
    )
    total = len(options.tiles())
    for _ in track(make_demo_data(args.out_dir, options), description='drawing', total=total):
        pass
    print(f'{args.out_dir}: {total} tiles of {args.size} x {args.size} pixels drawn with seed {args.seed}')
