"""``dlc-mmseg convert-raster``: rasters of any size, with labels as rasters or polygons, to tiles."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from dlc_mmseg.commands._convert_options import check_cutting_options
from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.converters.raster.class_words import parse_classes, parse_code
from dlc_mmseg.converters.raster.conversion import convert_rasters
from dlc_mmseg.converters.raster.counting import count_codes
from dlc_mmseg.converters.raster.cutting import RasterCutting, RasterPair, polygons_of
from dlc_mmseg.converters.raster.grid import ground_pixel_size
from dlc_mmseg.converters.raster.label_coding import LabelCoding, find_coding
from dlc_mmseg.converters.raster.listing import pair_rasters
from dlc_mmseg.converters.raster.polygon_labels import PolygonReading, choose_layer, is_vector
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import open_raster

_EPILOG = """writes OUT_DIR/img/*.tif with all bands, the type, nodata value and georeference of the raster, and
OUT_DIR/lbl/*.tif with class indices (255: no class) and class_statistics.json. Tiles without data, and tiles without
any labelled pixel, are left out and counted. OUT_DIR appears when it is complete; a stopped conversion continues when
run again. A label raster on other pixels is warped onto those of the image (nearest neighbour); polygons are brought
into its reference system and burnt in.

example:
  dlc-mmseg convert-raster --dataset_path ortho.tif --labels landuse.gpkg --class_attribute use --out_dir data/source
  dlc-mmseg convert-raster --dataset_path orthophotos --pixel_size 0.2 --out_dir data/target
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = 'Cuts georeferenced rasters, and any other images, into tiles to train on.'
    parser.epilog = _EPILOG
    help_text = 'raster, or folder of rasters'
    add_option(parser, 'dataset_path', type=Path, required=True, metavar='PATH', help=help_text)
    help_text = 'label raster or polygons (GeoPackage, GeoJSON, Shapefile), or folder of label rasters (default: none)'
    add_option(parser, 'labels', type=Path, metavar='PATH', help=help_text)
    help_text = 'new folder of the tiles'
    add_option(parser, 'out_dir', type=Path, required=True, metavar='DIR', help=help_text)
    help_text = 'side of the tiles in pixels (default: 512)'
    add_option(parser, 'clip_size', type=int, default=512, metavar='N', help=help_text)
    help_text = 'step between tiles in pixels (default: --clip_size, so that they do not overlap)'
    add_option(parser, 'stride_size', type=int, metavar='N', help=help_text)
    help_text = 'resample to pixels of this many metres on the ground (default: as they are)'
    add_option(parser, 'pixel_size', type=float, metavar='M', help=help_text)
    help_text = 'value of pixels without data (default: as the raster says)'
    add_option(parser, 'nodata', type=float, metavar='VALUE', help=help_text)
    add_label_options(parser)
    workers = min(4, os.cpu_count() or 1)
    add_option(
        parser, 'workers', type=int, default=workers, metavar='N', help='processes (default: one per core, at most 4)'
    )


def add_label_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the options that say what labels mean."""
    help_text = 'names of the classes in the order of their codes, or NAME=CODE, NAME=CODE,CODE, NAME=RED/GREEN/BLUE'
    add_option(parser, 'classes', nargs='+', metavar='NAME', help=help_text)
    help_text = 'codes or colours of no class (default: nodata, and 255 where it does not continue the others)'
    add_option(parser, 'ignored', nargs='*', metavar='CODE', help=help_text)
    help_text = 'attribute that names the class of a polygon (default: all polygons are of one class)'
    add_option(parser, 'class_attribute', metavar='NAME', help=help_text)
    add_option(parser, 'label_layer', metavar='NAME', help='layer of the polygons (default: the only one)')
    help_text = 'class outside of the polygons (default: none, or "background" with polygons of one class)'
    add_option(parser, 'background', metavar='NAME', help=help_text)


def run(args: argparse.Namespace) -> None:
    """Convert."""
    stride = args.stride_size if args.stride_size is not None else args.clip_size
    check_cutting_options(argparse.Namespace(**{**vars(args), 'stride_size': stride}))
    pairs = pair_rasters(args.dataset_path, None if args.labels and is_vector(args.labels) else args.labels)
    coding, polygons = _labels(args, pairs)
    factor = 1.0 if args.pixel_size is None else _factor(pairs, args.pixel_size)
    cutting = RasterCutting(factor, coding, polygons, args.nodata)
    found = convert_rasters(
        pairs, args.out_dir, cutting, clip_size=args.clip_size, stride_size=stride, workers=args.workers
    )
    print(found.line())
    if polygons is not None:
        print(polygons_of(polygons).remark)
    classes = coding.classes if coding else polygons_of(polygons).classes if polygons else ()
    if classes:
        print(f'classes = {tuple(classes)}')


def _labels(args: argparse.Namespace, pairs: list[RasterPair]) -> tuple[LabelCoding | None, PolygonReading | None]:
    if args.labels is None:
        return None, None
    if is_vector(args.labels):
        layer = choose_layer(args.labels, args.label_layer)
        return None, PolygonReading(args.labels, layer, args.class_attribute, args.background)
    counts = count_codes([pair.label for pair in pairs if pair.label is not None], str(args.labels))
    ignored = None if args.ignored is None else [parse_code(word, '--ignored')[0] for word in args.ignored]
    coding = find_coding(counts, parse_classes(args.classes) if args.classes else (), ignored)
    for name, codes in zip(coding.classes, coding.written_codes(), strict=True):
        print(f'{args.labels}: {codes} is {name}')
    print(*(f'{args.labels}: {remark} (--ignored says otherwise)' for remark in coding.remarks), sep='\n', end='')
    return coding, None


def _factor(pairs: list[RasterPair], pixel_size: float) -> float:
    """Pixels of the files per pixel of the tiles."""
    if pixel_size <= 0:
        raise UserError(f'--pixel_size {pixel_size}', 'is no size', 'give metres')
    sizes = {}
    for pair in pairs:
        with open_raster(str(pair.image)) as file:
            sizes[pair.image] = ground_pixel_size(file)
    unknown = [path for path, size in sizes.items() if size is None]
    if unknown:
        raise UserError(
            unknown[0], 'does not say how large its pixels are', 'georeference it, or leave out --pixel_size'
        )
    known = [size for size in sizes.values() if size is not None]
    if max(known) > 1.05 * min(known):
        what = f'pixels are of {min(known):.3g} to {max(known):.3g} m'
        raise UserError('--pixel_size', what, 'convert rasters of one pixel size at a time')
    return pixel_size * len(known) / sum(known)
