"""What loaders deliver, against what the files hold: type, bands, values, pixels without data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from numpy.typing import NDArray

from dlc_mmseg.checks.causes import reason
from dlc_mmseg.checks.domain_files import Domain
from dlc_mmseg.checks.image_files import SAMPLE
from dlc_mmseg.checks.report import RAISED, Report, Severity, Track, silent
from dlc_mmseg.checks.stored_images import StoredImage, read_stored
from dlc_mmseg.datasets.draw_randomness import isolated_randomness
from dlc_mmseg.datasets.image_loading import LoadedImage, load_image
from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile
from dlc_mmseg.datasets.raster_packing import check_raster_pipeline
from dlc_mmseg.errors import UserError
from dlc_mmseg.functional.spread import spread

_PICTURES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp')
_LEVELS = 64
"""Fewer different values than this, where the file has more, are called a loss of the image."""
_TOLERANCE = 4
"""Levels by which decoders of compressed 8-bit images differ."""


class Fault(NamedTuple):
    """Something that is lost between a file and the pipeline.

    Attributes:
        kind: Faults of one kind are reported on one line.
        severity: Of the report.
        what: What is wrong with the file or its loading.
        remedy: What to do.
    """

    kind: str
    severity: Severity
    what: str
    remedy: str


def check_delivered(domain: Domain, report: Report, *, full: bool, track: Track = silent) -> bool:
    """Compare what the loader of a pipeline delivers with what the files hold.

    Args:
        domain: A dataset with tiles that read.
        report: Receives losses of depth, of bands and of range, and values that are no data.
        full: Compare all files instead of a sample.
        track: Shows the progress.

    Returns:
        Whether the pipeline loads all files that were tried.
    """
    try:
        check_raster_pipeline(domain.dataset.pipeline.transforms, f'{domain.name}.pipeline')
    except UserError as error:
        report.error(error.where or domain.name, error.what, error.remedy)
    tiles = [tile for tile in domain.tiles if '://' not in tile.image]
    chosen = tiles if full else spread(tiles, SAMPLE)
    found: defaultdict[str, list[tuple[str, Fault]]] = defaultdict(list)
    for tile in track(chosen, f'comparing with files: {domain.role}', len(chosen)):
        stored = read_stored(tile.image)
        if stored is None and tile.image.lower().endswith(_PICTURES):
            continue
        for fault in faults(domain, tile.info, stored):
            found[fault.kind].append((tile.image, fault))
    for cases in found.values():
        cases.sort(key=lambda case: case[1].severity != 'error')
        first = cases[0][1]
        report.files(first.severity, [path for path, _ in cases], f'{domain.role} image {first.what}', first.remedy)
    return 'unreadable' not in found


def faults(domain: Domain, info: dict[str, Any], stored: StoredImage | None) -> Iterator[Fault]:
    """What is lost of one file.

    Args:
        domain: Its dataset.
        info: The dataset's entry.
        stored: What the file holds; None where nothing at hand reads it.

    Yields:
        Each loss.
    """
    remedy = f"load it with dict(type='LoadRasterFromFile') and end {domain.name}.pipeline with PackRasterInputs"
    try:
        with isolated_randomness(0, 0):
            delivered = load_image(domain.dataset.pipeline.transforms, info)
    except RAISED as error:  # anything a transform may raise
        if stored is not None and not isinstance(_loader(domain), LoadRasterFromFile):
            what = f'({_content(stored)}) cannot be read by {_name(domain)} ({reason(error)[:120]})'
            yield Fault('unreadable', 'error', what, remedy)
        return
    if delivered is None:
        return
    name, image = type(delivered.loader).__name__, delivered.image
    if image.dtype.kind == 'f' and not np.isfinite(image).all():
        what = f'holds {np.sum(~np.isfinite(image).all(-1))} pixels with values that are not finite (NaN)'
        yield Fault('not finite', 'error', what, remedy)
    if stored is None:
        return
    if not isinstance(delivered.loader, LoadRasterFromFile):
        if stored.values is not None and stored.values.shape[:2] != image.shape[:2]:
            what = f'has {_shape(stored.values)}, {name} gives {_shape(image)}: band by band in place of pixel by pixel'
            yield Fault('shape', 'error', what, remedy)
            return
        other = _other_remedy(stored, str(info['img_path']), delivered.loader)
        yield from _depth(stored, image, name, remedy + other)
        yield from _bands(stored, delivered, name, remedy, other)
    if delivered.nodata is None and stored.nodata is not None and stored.nodata.any():
        share = f'{stored.nodata.mean():.1%} of its pixels'
        what = f'holds no data in {share}, which {name} hands on as if they were measured'
        yield Fault('nodata', 'warning', what, remedy)


def _depth(stored: StoredImage, image: NDArray[Any], name: str, remedy: str) -> Iterator[Fault]:
    if np.dtype(stored.dtype).itemsize > image.dtype.itemsize:
        what = f'holds {stored.dtype}{_range(stored.values)}, {name} gives {image.dtype}{_range(image)}'
        poor = stored.values is None or len(np.unique(image)) < _LEVELS <= len(np.unique(stored.values))
        yield Fault('depth', 'error' if poor else 'warning', what, remedy)
    elif stored.values is not None and stored.dtype == image.dtype.name and stored.bands == image.shape[2]:
        (low, high), (least, most) = _extremes(stored.values), _extremes(image)
        allowed = _TOLERANCE if image.dtype == np.uint8 else 0
        if abs(low - least) > allowed or abs(high - most) > allowed:
            what = f'holds values{_range(stored.values)}, {name} gives{_range(image)}'
            yield Fault('range', 'warning', what, remedy)


def _other_remedy(stored: StoredImage, path: str, loader: Any) -> str:
    """OpenCV reads some files as they are if it is told to: that needs no other loader."""
    if not isinstance(loader, LoadImageFromFile) or loader.color_type == 'unchanged':
        return ''
    image = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype.name != stored.dtype or (1 if image.ndim == 2 else image.shape[2]) != stored.bands:
        return ''
    return ", or set color_type='unchanged' of LoadImageFromFile, and mean, std and in_channels to what it gives"


def _bands(stored: StoredImage, delivered: LoadedImage, name: str, remedy: str, other: str) -> Iterator[Fault]:
    got = delivered.image.shape[2]
    grey = isinstance(delivered.loader, LoadImageFromFile) and 'grayscale' in str(delivered.loader.color_type)
    first_thrice = stored.bands == 2 and got == 3 and isinstance(delivered.loader, LoadImageFromFile)  # OpenCV's way
    if (got >= stored.bands and not first_thrice) or grey:
        return
    opaque = (
        stored.alpha
        and (stored.bands == got + 1 or stored.bands == 2)
        and stored.nodata is not None
        and not stored.nodata.any()
    )
    if opaque and stored.values is not None and np.unique(stored.values[..., -1]).size == 1:
        return  # the same everywhere: nothing is lost with it
    known = ', the last of which is called alpha' if stored.alpha else ''
    what = f'has {stored.bands} bands{known}, {name} gives {got}'
    colour = got == 3 and stored.bands == 4
    choice = ', with bands=[1, 2, 3] if three are wanted' if colour else ''
    yield Fault('bands', 'warning' if got == 3 else 'error', what, remedy + choice + other)


def _shape(image: NDArray[Any]) -> str:
    return f'{image.shape[0]} x {image.shape[1]} pixels (height x width) in {image.shape[2]} bands'


def _loader(domain: Domain) -> Any:
    return next(iter(domain.dataset.pipeline.transforms), None)


def _name(domain: Domain) -> str:
    return type(_loader(domain)).__name__


def _content(stored: StoredImage) -> str:
    return f'{stored.bands} band{"s" if stored.bands > 1 else ""} of {stored.dtype}'


def _extremes(values: NDArray[Any]) -> tuple[float, float]:
    finite = values[np.isfinite(values)] if values.dtype.kind == 'f' else values
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _range(values: NDArray[Any] | None) -> str:
    if values is None:
        return ''
    low, high = _extremes(values)
    return f' from {low:g} to {high:g}'
