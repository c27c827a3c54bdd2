"""Conversion of the ISPRS data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.isprs_labels import UNLABELLED, read_label
from dlc_mmseg.converters.pairing import RawDataset, collect_tiles
from dlc_mmseg.converters.raw_bands import read_bands
from dlc_mmseg.converters.raw_files import find_raw_files
from dlc_mmseg.converters.raw_images import read_rgb
from dlc_mmseg.converters.tiling import Cutting, RawTile, convert_tiles
from dlc_mmseg.errors import UserError

_BANDS = {'rgbir': [0, 1, 2, 3], 'irrg': [3, 0, 1], 'rgb': [0, 1, 2]}
"""Bands of each variant in a file of red, green, blue and infrared."""


@dataclass(frozen=True)
class IsprsDataset(RawDataset):
    """An ISPRS data set.

    Attributes:
        inexact: Tiles whose label is published with inexact colours.
    """

    inexact: frozenset[str] = frozenset()


def _read_image(tile: RawTile, variant: str, dataset: IsprsDataset) -> NDArray[np.uint8]:
    """Bands of a variant, (H, W, 3) or all four: from its own file, or out of that of all bands."""
    raw = tile.images[variant]
    if dataset.recognise_on_request(raw) is None:
        return read_rgb(raw)
    bands = read_bands(raw)
    if bands.shape[2] != 4 or bands.dtype != np.uint8:
        what = f'has {bands.shape[2]} band(s) of {bands.dtype}, expected red, green, blue and infrared of 8 bits'
        raise UserError(raw, what, 'use the published files')
    return np.ascontiguousarray(bands[..., _BANDS[variant]])


def convert_isprs(
    dataset: IsprsDataset,
    dataset_path: Path,
    out_dir: Path,
    variants: Sequence[str] | None = None,
    *,
    clip_size: int = 512,
    stride_size: int = 256,
    labels: str = 'auto',
    max_unknown: float = 0.0,
    skip_incomplete: bool = False,
    workers: int = 1,
) -> list[Path]:
    """Convert the raw files of an ISPRS data set into tiles.

    Args:
        dataset: Which data set.
        dataset_path: Folder with packages or extracted trees, or one package.
        out_dir: Folder of the data set; ``{variant}_{clip_size}_s{stride_size}`` is added.
        variants: Images wanted; None takes those that are there.
        clip_size: Side of the windows in pixels.
        stride_size: Step between windows in pixels.
        labels: See :func:`dlc_mmseg.converters.pairing.collect_tiles`.
        max_unknown: Share of pixels of unknown colour tolerated per label, 0..1.
        skip_incomplete: Leave tiles out that lack an image or the label.
        workers: Processes.

    Returns:
        Folders of the converted data, in the order of ``variants``.

    Raises:
        UserError: If input or output is faulty; nothing incomplete is left under its final name.
    """
    files = find_raw_files(dataset_path)
    tiles, remarks = collect_tiles(files, dataset, variants, labels=labels, skip_incomplete=skip_incomplete)
    print(*remarks, sep='\n')
    reader = partial(read_label, max_unknown=max_unknown, inexact=dataset.inexact)
    image_reader = partial(_read_image, dataset=dataset)
    cutting = Cutting(clip_size, stride_size, image_reader, reader, UNLABELLED)
    return convert_tiles(tiles, out_dir, cutting, settings={'dataset': dataset.title}, workers=workers)
