"""`dlc-mmseg predict`: georeferenced maps of rasters of any size."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm

from dlc_mmseg.commands._config_file import add_config_changes, read_config
from dlc_mmseg.commands._images import at_least
from dlc_mmseg.commands._map_progress import MapProgress, remaining
from dlc_mmseg.commands._raster_options import add_raster_options, reading_options
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.deploy.class_descriptions import described_classes
from dlc_mmseg.deploy.maps.blending import count_windows
from dlc_mmseg.deploy.maps.image_rows import configured_reading, left_out_steps, open_rows
from dlc_mmseg.deploy.maps.inputs import MapJob, list_jobs, shared_out
from dlc_mmseg.deploy.maps.map_file import gdal_settings
from dlc_mmseg.deploy.maps.polygons import check_polygons
from dlc_mmseg.deploy.maps.prediction import MapResult, MapSettings, predict_map
from dlc_mmseg.deploy.maps.tiling_options import default_tiling
from dlc_mmseg.deploy.maps.window_classifier import WindowClassifier
from dlc_mmseg.deploy.noise.predicting import load_model
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import import_rasterio

_EPILOG = """Each image becomes a map of the same name: a cloud-optimised GeoTIFF of class indices with the image's
reference system, transform and nodata, the classes' colours and names; NAME_areas.csv holds pixels and square metres
of each class. Memory is bounded by --memory, whatever the size of the image. Run the same command again after a kill:
maps that are there are kept, the one that was being written goes on. A file that fails does not end the others; the
exit status is then 2.

example:
  dlc-mmseg predict configs/dlc_custom.py work_dirs/dlc_custom/iter_4000.pth orthophotos --out maps
  dlc-mmseg predict CONFIG CHECKPOINT city.tif --out city_map.tif --confidence --polygons gpkg --average d4 --amp
  torchrun --nproc_per_node 4 $(which dlc-mmseg) predict CONFIG CHECKPOINT 'tiles/**/*.tif' --out maps
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = 'Georeferenced class maps of rasters of any size, by any MMSegmentation segmentor.'
    parser.epilog = _EPILOG
    parser.add_argument('config', metavar='CONFIG', type=Path, help='config of the model')
    parser.add_argument('checkpoint', metavar='CHECKPOINT', type=Path, help='its checkpoint')
    help_inputs = 'images, folders (sub-folders included) or patterns such as "tiles/*.tif"'
    parser.add_argument('inputs', metavar='INPUT', nargs='+', help=help_inputs)
    help_out = 'folder of the maps; for one image also a file that ends in .tif'
    parser.add_argument('--out', metavar='DIR|FILE', type=Path, required=True, help=help_out)
    add_option(parser, 'suffix', help='how names of images in folders end, such as _RGB.tif (default: any image)')
    _add_outputs(parser)
    _add_windows(parser)
    add_raster_options(parser)
    add_option(parser, 'device', help='torch device (default: a GPU if there is one, each process of torchrun its own)')
    add_config_changes(parser)


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('what is written beside each map')
    help_probabilities = (
        'NAME_probabilities.tif, one band per class: uint8 (the default: 0 to 254 stand for 0 to 1) or float32'
    )
    choices = ('uint8', 'float32')
    add_option(group, 'probabilities', nargs='?', const='uint8', choices=choices, help=help_probabilities)
    help_confidence = 'NAME_confidence.tif, the largest probability: 0 to 254 stand for 0 to 1'
    add_option(group, 'confidence', action='store_true', help=help_confidence)
    help_polygons = (
        'outlines of the classes with their areas: geojson (the default; in WGS 84) or gpkg (in the reference system '
        'of the map)'
    )
    add_option(group, 'polygons', nargs='?', const='geojson', choices=('geojson', 'gpkg'), help=help_polygons)
    help_area = 'leave out smaller polygons (in pixels for images without georeference; default: none)'
    add_option(group, 'min_area', type=_number(0), default=0.0, metavar='M2', help=help_area)


def _add_windows(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group('how images are cut and classified')
    help_window = "side of windows in pixels (default: the config's sliding window or crop, else 512)"
    add_option(group, 'window', type=at_least(32), metavar='N', help=help_window)
    help_overlap = "pixels that neighbours share and are blended over (default: the config's, else a quarter window)"
    add_option(group, 'overlap', type=at_least(0), metavar='N', help=help_overlap)
    help_batch = 'windows that go through the network at once (default: 1; more serve a GPU)'
    add_option(group, 'batch_size', type=at_least(1), default=1, metavar='N', help=help_batch)
    help_memory = 'MiB for the rows being worked on (default: 512); model, framework and one batch come on top'
    add_option(group, 'memory', type=at_least(1), default=512, metavar='MIB', help=help_memory)
    help_average = 'average the predictions of mirrored (flips: 4) or also turned (d4: 8) windows'
    add_option(group, 'average', choices=('none', 'flips', 'd4'), default='none', help=help_average)
    add_option(group, 'amp', action='store_true', help='compute in float16, on a CPU in bfloat16')


def run(args: argparse.Namespace) -> None:
    """Map all images.

    Args:
        args: See `configure`.

    Raises:
        UserError: If config, checkpoint or inputs cannot be read, an option does not fit, or an image failed.
    """
    import_rasterio('dlc-mmseg predict')
    if args.polygons:
        check_polygons(args.polygons)
    config = read_config(args.config, args.cfg_options)
    jobs = list_jobs(args.inputs, args.out, args.suffix)
    settings = _settings(args, config)
    classifier = _classifier(args, config)
    if not classifier.calibrated and (args.probabilities or args.confidence):
        what = "asks for probabilities, but those of this model's head are not known"
        raise UserError('--probabilities, --confidence', what, 'leave them out')
    classes = described_classes(config, args.checkpoint, classifier.num_classes)
    left_out = left_out_steps(config)
    if left_out:
        print(f'note: images are mapped at their own resolution, without {", ".join(left_out)} of the test pipeline')

    def predict(job: MapJob, advance: Callable[[int], None]) -> MapResult:
        return predict_map(job, classifier, classes, settings, advance)

    sizes = [_windows(job, settings, classifier) for job in jobs]
    mine = shared_out(list(zip(jobs, sizes, strict=True)), sizes, os.environ)
    failed = _map_all(mine, predict)
    if failed:
        what = (
            f'{len(failed)} of {len(mine)} images could not be mapped ({failed[0]}{" .." if len(failed) > 1 else ""})'
        )
        raise UserError(args.out, what, 'see the lines above')


def _map_all(jobs: Sequence[tuple[MapJob, int]], predict: Callable[..., MapResult]) -> list[str]:
    """Map images one after the other; those that failed."""
    failed = []
    with MapProgress(sum(windows for _, windows in jobs)) as progress:
        for job, windows in jobs:
            progress.image(job.image.name)
            try:
                result = predict(job, progress.advance)
            except Exception as error:  # noqa: BLE001, one file must not end the others
                failed.append(str(job.image))
                reason = str(error) if isinstance(error, UserError) else f'{type(error).__name__}: {error}'
                place = '' if str(job.image) in reason else f'{job.image}: '
                print(f'failed: {place}{" ".join(reason.split())}', file=sys.stderr, flush=True)
                continue
            if not result.written or not any(path == job.map for path in result.written):
                progress.advance(windows)
            print(_line(result), flush=True)
    return failed


def _line(result: MapResult) -> str:
    """One line about a map."""
    if result.job.map not in result.written:
        return f'{result.job.map}: there already'
    largest = sorted(result.areas, key=lambda row: -row.share)[:3]
    shares = ', '.join(f'{row.name} {row.share:.1%}' for row in largest if row.pixels)
    known = [row.square_metres for row in result.areas if row.square_metres is not None]
    square_metres = sum(known)
    area = f'{square_metres / 1e6:.4g} km²' if square_metres >= 1e5 else f'{square_metres:.4g} m²'
    area = f' of {area}' if known else ''
    time = remaining(result.seconds) if result.seconds >= 60 else f'{result.seconds:.1f} s'
    return f'{result.job.map}: {shares or "no data"}{area} ({time})'


def _settings(args: argparse.Namespace, config: Config) -> MapSettings:
    tiling = default_tiling(config, args.window, args.overlap)._replace(batch_size=args.batch_size, memory=args.memory)
    checkpoint = args.checkpoint
    stamp = [checkpoint.stat().st_size, checkpoint.stat().st_mtime_ns] if checkpoint.is_file() else []
    reading = configured_reading(config, reading_options(args))
    kept = [config.get('model'), stamp, tiling.window, tiling.overlap, repr(reading), args.average, args.amp]
    run = hashlib.sha256(json.dumps(kept, default=str, sort_keys=True).encode()).hexdigest()[:16]
    return MapSettings(
        tiling=tiling,
        reading=reading,
        probabilities=args.probabilities or 'none',
        confidence=args.confidence,
        polygons=args.polygons or 'none',
        min_area=args.min_area,
        run=run,
    )


def _classifier(args: argparse.Namespace, config: Config) -> WindowClassifier:
    device = args.device or (f'cuda:{os.environ.get("LOCAL_RANK", 0)}' if torch.cuda.is_available() else 'cpu')
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            '--device', f'{device} cannot be used ({error})', 'give a device that this machine has'
        ) from error
    model = load_model(config, args.checkpoint, device)
    if torch.device(device).type == 'cpu':
        revert_sync_batchnorm(model)  # in place, but for a model that is one itself
    return WindowClassifier(model, amp=args.amp, averaging=args.average)


def _windows(job: MapJob, settings: MapSettings, classifier: WindowClassifier) -> int:
    """Windows of an image, for the progress; 0 of one that cannot be read, which is told when its turn comes."""
    try:
        with gdal_settings(), open_rows(str(job.image), settings.reading, classifier.channels) as image:
            return count_windows(image.size, classifier.num_classes, image.channels, settings.tiling)
    except (UserError, OSError):
        return 0


def _number(lowest: float) -> Callable[[str], float]:
    """Parser of a number that is not below a limit."""

    def parse(text: str) -> float:
        try:
            value: Any = float(text)
        except ValueError:
            value = None
        if value is None or not lowest <= value < float('inf'):
            raise argparse.ArgumentTypeError(f'{text!r}: give a number >= {lowest:g}')
        return float(value)

    return parse
