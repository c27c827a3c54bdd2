"""`dlc-mmseg init`: from two data sets to a ready config."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.commands.convert_raster import add_label_options

if TYPE_CHECKING:
    from dlc_mmseg.own_data.finding import Role, Wanted
    from dlc_mmseg.own_data.settings import Settings

_EPILOG = """SOURCE and TARGET are folders of images of any usual layout (images and labels in folders of their own, or
side by side with different endings), or one raster each. Whatever is found is printed with the option that says
otherwise; what cannot be seen is asked for, or, with --yes or without a terminal, refused by the option's name. Images
that are no tiles are cut, configs that are there are left alone.

example:
  dlc-mmseg init data/my_source data/my_target
  dlc-mmseg init data/my_source data/my_target --classes ground=0 building=255 --yes
  dlc-mmseg init city_a.tif city_b.tif --source_labels landuse.gpkg --class_attribute use --resample
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = 'Look at two data sets of your own, and write a config that is ready to train.'
    parser.epilog = _EPILOG
    parser.add_argument('source', metavar='SOURCE', type=Path, help='folder or raster with labels')
    parser.add_argument('target', metavar='TARGET', type=Path, help='folder or raster to be mapped')
    _add_places(parser.add_argument_group('where images and labels lie'))
    _add_contents(parser.add_argument_group('what they hold'))
    _add_outputs(parser.add_argument_group('what is written'))


def _add_places(group: argparse._ArgumentGroup) -> None:
    for role in ('source', 'target'):
        add_option(group, f'{role}_images', type=Path, metavar='DIR', help=f'folder of the {role} images')
    help_text = 'folder of label images; of one raster a label raster; or polygons (GeoPackage, GeoJSON, Shapefile)'
    add_option(group, 'source_labels', type=Path, metavar='PATH', help=help_text)
    help_text = 'the same of the target, to validate with; "none" leaves out those that are there'
    add_option(group, 'target_labels', type=Path, metavar='PATH', help=help_text)


def _add_contents(group: argparse._ArgumentGroup) -> None:
    add_label_options(group)
    help_text = 'as --classes, where labels of the target have other codes'
    add_option(group, 'target_classes', nargs='+', metavar='NAME=CODE', help=help_text)
    for role in ('source', 'target'):
        help_text = f'numbers of the bands of the {role}, from 1, in one meaning for both'
        add_option(group, f'{role}_bands', nargs='+', type=int, metavar='N', help=help_text)
        help_text = f'metres per pixel of the {role} on the ground'
        add_option(group, f'{role}_pixel_size', type=float, metavar='M', help=help_text)


def _add_outputs(group: argparse._ArgumentGroup) -> None:
    help_text = "bring the source to the target's pixel size"
    add_option(group, 'resample', action='store_true', help=help_text)
    help_text = 'cut images into tiles: where need be (default), or always'
    add_option(group, 'cut', choices=('auto', 'always'), default='auto', help=help_text)
    add_option(group, 'tile_size', type=int, default=512, metavar='N', help='side of tiles in pixels (default: 512)')
    add_option(group, 'out_dir', type=Path, default=Path('data'), metavar='DIR', help='folder of tiles (default: data)')
    help_text = 'folder of the configs (default: configs)'
    add_option(group, 'config_dir', type=Path, default=Path('configs'), metavar='DIR', help=help_text)
    add_option(group, 'name', metavar='NAME', help='what configs are named after (default: source and target)')
    help_text = 'labelled target images to validate on at most (default: 64); 0: none'
    add_option(group, 'validate', type=int, default=64, metavar='N', help=help_text)
    help_text = 'size of network, crop and schedule (default: gpu where there is one)'
    add_option(group, 'preset', choices=('cpu', 'gpu'), help=help_text)
    help_text = 'another network than that of the preset, one of those that the config lists'
    add_option(group, 'network', metavar='NAME', help=help_text)
    add_option(group, 'iterations', type=int, metavar='N', help='another number than that of the preset')
    workers = min(4, os.cpu_count() or 1)
    add_option(
        group,
        'workers',
        type=int,
        default=workers,
        metavar='N',
        help='processes that cut (default: one per core, at most 4)',
    )
    add_option(group, 'overwrite', action='store_true', help='replace configs that are there')
    add_option(group, 'yes', action='store_true', help='ask nothing: for scripts')


def run(args: argparse.Namespace) -> None:
    """Look, write, check, and print how to go on.

    Args:
        args: See `configure`.

    Raises:
        UserError: If the data sets do not serve, or the checks find errors.
    """
    import dlc_mmseg
    from dlc_mmseg.commands._asking import asker
    from dlc_mmseg.commands._progress import progress_bar
    from dlc_mmseg.commands.band_statistics import config_moments, in_band_order
    from dlc_mmseg.commands.check import run as check
    from dlc_mmseg.commands.configs import configs_folder
    from dlc_mmseg.datasets.band_statistics import shared_statistics
    from dlc_mmseg.own_data.next_steps import next_steps
    from dlc_mmseg.own_data.preparing import prepare

    settings = _settings(args)
    prepared = prepare(settings, configs_folder(), asker(yes=args.yes), print, progress_bar)
    dlc_mmseg.register()  # not before: processes that cut would load the framework too
    mean, std = shared_statistics(list(config_moments(prepared.config).values()))
    texts = [' '.join(f'{value:.4g}' for value in in_band_order(values)) for values in (mean, std)]
    use = "for mean, std = 'auto'" if prepared.measured else 'the config keeps those that its network was trained with'
    print(f'bands: mean {texts[0]}, standard deviation {texts[1]}, {use} (dlc-mmseg band-statistics)')
    options = argparse.Namespace(config=prepared.config, quick=False, work_dir=None, cfg_options=None)
    check(options)
    gpus = 1 if settings.preset == 'gpu' else 0
    print('\nTo go on:')
    for what, command in next_steps(prepared, iterations=_iterations(prepared.config), gpus=gpus):
        print(f'# {what}\n{command}')


def _iterations(config: Path) -> int:
    from dlc_mmseg.commands._config_file import read_config

    return int(read_config(config, None).train_cfg.max_iters)


def _settings(args: argparse.Namespace) -> Settings:
    import torch

    from dlc_mmseg.converters.raster.class_words import parse_classes, parse_code
    from dlc_mmseg.own_data.settings import Settings

    classes = parse_classes(args.classes) if args.classes else ()
    target_classes = parse_classes(args.target_classes, '--target_classes') if args.target_classes else ()
    ignored = None if args.ignored is None else tuple(parse_code(word, '--ignored')[0] for word in args.ignored)
    preset: Literal['cpu', 'gpu'] = args.preset or ('gpu' if torch.cuda.is_available() else 'cpu')
    if args.preset is None:
        found = 'a GPU is there' if preset == 'gpu' else 'no GPU is there'
        print(f'preset: {preset}, as {found} (--preset)')
    same = (
        *('source_bands', 'target_bands', 'source_pixel_size', 'target_pixel_size', 'resample', 'cut', 'tile_size'),
        *('validate', 'name', 'config_dir', 'out_dir', 'network', 'iterations', 'workers', 'overwrite'),
    )
    return Settings(
        source=_wanted(args, 'source'),
        target=_wanted(args, 'target'),
        classes=classes,
        ignored=ignored,
        target_classes=target_classes,
        preset=preset,
        **{name: getattr(args, name) for name in same},
    )


def _wanted(args: argparse.Namespace, role: Role) -> Wanted:
    from dlc_mmseg.own_data.finding import Wanted

    return Wanted(
        role=role,
        place=getattr(args, role),
        images=getattr(args, f'{role}_images'),
        labels=getattr(args, f'{role}_labels'),
        class_attribute=args.class_attribute,
        layer=args.label_layer,
        background=args.background,
    )
