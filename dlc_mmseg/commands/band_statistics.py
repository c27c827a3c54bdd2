"""`dlc-mmseg band-statistics`: mean and standard deviation of each band, for the data preprocessor."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.registry import init_default_scope

from dlc_mmseg.commands._config_file import read_config
from dlc_mmseg.commands._progress import progress_bar
from dlc_mmseg.commands._raster_options import add_raster_options, reading_options
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.datasets.band_statistics import (
    BandMoments,
    dataset_moments,
    load_band_moments,
    pooled_moments,
    shared_statistics,
)
from dlc_mmseg.datasets.domain import build_domain
from dlc_mmseg.datasets.nesting import pair_config
from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.image_files import list_images

_EPILOG = """Pixels without data are left out; each folder, or each domain of a config, weighs the same. Statistics of
each image are kept beside it (band_statistics.json) until it changes. With mean='auto', std='auto' in the
data_preprocessor training finds the same numbers by itself.

example:
  dlc-mmseg band-statistics configs/dlc_custom.py
  dlc-mmseg band-statistics data/my_source/img data/my_target/img --suffix .tif --bands 4 1 2
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = 'Mean and standard deviation of each band over the pixels that hold data.'
    parser.epilog = _EPILOG
    help_inputs = 'a config, whose training images are read as it says; or folders of images, sub-folders included'
    parser.add_argument('inputs', metavar='CONFIG|DIR', nargs='+', type=Path, help=help_inputs)
    add_option(parser, 'suffix', help='how image names in folders end, such as .tif (default: any image)')
    add_raster_options(parser)


def run(args: argparse.Namespace) -> None:
    """Find and print.

    Args:
        args: See `configure`.

    Raises:
        UserError: If an image cannot be read, or the inputs differ in bands.
    """
    init_default_scope('mmseg')
    options = reading_options(args)
    if args.inputs[0].suffix == '.py':
        if len(args.inputs) > 1 or options or args.suffix:
            what = 'is a config, which says itself which images are read, and how'
            raise UserError(args.inputs[0], what, 'give no other arguments')
        domains = config_moments(args.inputs[0])
    else:
        loader = LoadRasterFromFile(**options)  # type: ignore[arg-type]
        domains = {str(folder): _of_folder(folder, args.suffix, loader) for folder in args.inputs}
    _print(domains)


def config_moments(path: Path) -> dict[str, BandMoments]:
    """Moments of the training images of a config, by domain; kept beside the images.

    Args:
        path: The config.

    Raises:
        UserError: If it cannot be read, has no training images, or one of these cannot be read.
    """
    config = read_config(path, None)
    found = pair_config(config.to_dict())
    dataset = found[1] if found is not None else (config.get('train_dataloader') or {}).get('dataset')
    if not dataset:
        raise UserError(
            path, 'has no train_dataloader, whose images to read', 'give a config to train with, or folders'
        )
    pair = {name: dataset[name] for name in ('source', 'target') if name in dataset} or {'source': dataset}
    return {name: dataset_moments(build_domain(part, name)) for name, part in pair.items()}


def _of_folder(folder: Path, suffix: str | None, loader: LoadRasterFromFile) -> BandMoments:
    infos = [{'img_path': str(path)} for path in list_images(folder, suffix)]
    parts = load_band_moments(infos, [loader], track=progress_bar)
    channels = {len(part.mean) for part in parts}
    if len(channels) > 1:
        raise UserError(folder, f'its images have {sorted(channels)} bands', 'choose those that all have with --bands')
    pooled = pooled_moments(parts)
    if not pooled.pixels:
        raise UserError(folder, 'none of its images holds data', 'correct --nodata')
    return pooled


def _print(domains: dict[str, BandMoments]) -> None:
    """Tables in the order of bands: three are delivered in reverse."""
    for name, moments in domains.items():
        print(f'{name}: {int(moments.pixels)} pixels with data')
        for number, (mean, variance) in enumerate(in_band_order(zip(moments.mean, moments.variance, strict=True)), 1):
            print(f'  band {number}: mean {mean:.6g}, standard deviation {variance**0.5:.6g}')
    mean, std = (in_band_order(values) for values in shared_statistics(list(domains.values())))
    turned = ', bgr_to_rgb=True' if len(mean) == 3 else ''
    print(f'\ndata_preprocessor=dict(mean={_rounded(mean)}, std={_rounded(std)}{turned})')


def in_band_order(values: Any) -> list[Any]:
    """Values of channels in the order of the bands: three are delivered in reverse.

    Args:
        values: One per channel, as delivered.
    """
    ordered = list(values)
    return ordered[::-1] if len(ordered) == 3 else ordered


def _rounded(values: Sequence[float]) -> list[float]:
    return [float(f'{value:.6g}') for value in values]
