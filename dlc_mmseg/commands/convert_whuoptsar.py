"""``dlc-mmseg convert-whuoptsar``: WHU-OPT-SAR scenes to tiles."""

from __future__ import annotations

import argparse
from pathlib import Path

from dlc_mmseg.commands import _convert_options as options
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.converters.whuoptsar import WhuOptSarReading, convert_whuoptsar
from dlc_mmseg.errors import UserError

_MODALITIES = {'optical': ('optical',), 'sar': ('sar',), 'both': ('optical', 'sar')}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.description = (
        'Cuts the WHU-OPT-SAR scenes into windows. Labels: 0 background (and others), 1 farmland, 2 city, 3 village, '
        '4 water, 5 forest, 6 road;\n255 is ignored. Optical and radar tiles have the same names and labels.\n'
        'Split: the 80/20 division that the authors of the data set publish. The lists the figures of DLC were '
        'measured with are not public;\nlists of your own are taken by --train_ids and --val_ids.\n'
        'A data set folder appears when it is complete; a stopped conversion continues when run again.'
    )
    parser.epilog = (
        'example:\n  python tools/convert_datasets/whuoptsar.py --dataset_path downloads/whu-opt-sar '
        '--out_dir data/whu-opt-sar --clip_size 512 --stride_size 512\n'
        'writes data/whu-opt-sar/{optical,sar}_512_s512/{img_dir,ann_dir}/{train,val}'
    )
    packages = 'folder with optical/, sar/ and lbl/, each a folder or a zip archive of NH49E001013.tif and so on'
    options.add_cutting_options(parser, 'data/whu-opt-sar', packages)
    help_text = 'images to convert (default: those that are there)'
    add_option(parser, 'modalities', choices=tuple(_MODALITIES), help=help_text)
    for part in ('train', 'val'):
        help_text = f'text file with the {part} scenes, one per line; both lists or none'
        add_option(parser, f'{part}_ids', type=Path, metavar='FILE', help=help_text)
    _add_reading_options(parser)
    help_text = 'share of pixels per label with a code other than 0, 10, .., 70 that is ignored (default: 0)'
    add_option(parser, 'max_unknown', type=float, default=0.0, metavar='SHARE', help=help_text)
    help_text = 'pixels by which the files of a scene may differ in size; the common part is kept (default: 0)'
    add_option(parser, 'max_size_difference', type=int, default=0, metavar='N', help=help_text)
    help_text = 'leave out scenes that lack an image or the label instead of stopping'
    add_option(parser, 'skip_incomplete', action='store_true', help=help_text)


def _add_reading_options(parser: argparse.ArgumentParser) -> None:
    help_text = '7: code 70, others, becomes 0, as in the release of DLC (default); 8: it becomes 7'
    add_option(parser, 'num_classes', type=int, choices=(7, 8), default=7, help=help_text)
    help_text = (
        'which bands of the optical files, counted from 1, are red, green and blue (default: 3 2 1, '
        'as the authors of the data set say; band 4 is near infrared)'
    )
    add_option(parser, 'rgb_bands', type=int, nargs=3, default=(3, 2, 1), metavar=('R', 'G', 'B'), help=help_text)
    help_text = '3: colours (default); 4: and near infrared, PNG with four channels'
    add_option(parser, 'optical_channels', type=int, choices=(3, 4), default=3, help=help_text)
    help_text = '3: the radar band three times, for networks that see both (default); 1: once'
    add_option(parser, 'sar_channels', type=int, choices=(1, 3), default=3, help=help_text)
    for name in ('optical', 'sar'):
        help_text = (
            f'values of {name} files that become 0 and 255 (default: 2nd and 98th percentile of each band of a '
            'scene, 0 being no data); files of 8 bits are taken as they are'
        )
        add_option(parser, f'{name}_range', type=float, nargs=2, metavar=('LOW', 'HIGH'), help=help_text)


def _reading(args: argparse.Namespace) -> WhuOptSarReading:
    if min(args.rgb_bands) < 1:
        raise UserError(
            f'--rgb_bands {" ".join(map(str, args.rgb_bands))}', 'bands are counted from 1', 'give 1 or more each'
        )
    ranges: dict[str, tuple[float, float] | None] = {}
    for name in ('optical_range', 'sar_range'):
        values = getattr(args, name)
        if values and not values[0] < values[1]:
            raise UserError(f'--{name} {values[0]:g} {values[1]:g}', 'is no range', 'give the smaller value first')
        ranges[name] = (values[0], values[1]) if values else None
    red, green, blue = args.rgb_bands
    return WhuOptSarReading(
        rgb_bands=(red, green, blue),
        optical_channels=args.optical_channels,
        sar_channels=args.sar_channels,
        num_classes=args.num_classes,
        **ranges,
    )


def run(args: argparse.Namespace) -> None:
    """Convert."""
    options.check_cutting_options(args)
    if (args.train_ids is None) != (args.val_ids is None):
        raise UserError('--train_ids and --val_ids', 'one list without the other', 'give both lists or none')
    if args.max_size_difference < 0:
        raise UserError(f'--max_size_difference {args.max_size_difference}', 'is negative', 'give 0 or more pixels')
    convert_whuoptsar(
        args.dataset_path,
        args.out_dir,
        _MODALITIES[args.modalities] if args.modalities else None,
        ids=(args.train_ids, args.val_ids) if args.train_ids else None,
        reading=_reading(args),
        clip_size=args.clip_size,
        stride_size=args.stride_size,
        max_unknown=args.max_unknown,
        max_size_difference=args.max_size_difference,
        skip_incomplete=args.skip_incomplete,
        workers=args.workers,
    )
