"""Cuts raw image and label pairs into windows, in several processes, and commits whole data sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.output import OutputFolder
from dlc_mmseg.converters.progress import run_tiles
from dlc_mmseg.converters.raw_files import RawFile
from dlc_mmseg.converters.sources import TileSource
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import TileStatistics, count_labels
from dlc_mmseg.windows import Box, sliding_windows

SPLITS = ('train', 'val')


@dataclass(frozen=True)
class RawTile:
    """One place on the ground: its images, its label, and the part of the data set it belongs to.

    Attributes:
        name: Prefix of its windows' file names.
        split: ``'train'`` or ``'val'``.
        images: Image by variant (``irrg``, ``rgb``, ``optical``, ``sar``).
        label: Label image.
    """

    name: str
    split: str
    images: dict[str, RawFile]
    label: RawFile

    def source(self, variant: str) -> TileSource:
        """What the windows of a variant are made from."""
        return TileSource(self.split, self.images[variant], self.label)


@dataclass(frozen=True)
class Cutting:
    """How tiles are read and cut; picklable, as it travels to the worker processes.

    Attributes:
        clip_size: Side of the square windows in pixels.
        stride_size: Step between windows in pixels, at most ``clip_size``.
        read_image: Gives the image (H, W) or (H, W, C) uint8, colours in RGB order, of a tile's variant.
        read_label: Gives the labels (H, W) uint8 of a tile and remarks for the user.
        ignored_label: Value of label pixels outside an image that is smaller than the window.
        max_size_difference: Pixels by which the files of a tile may differ in height and width, their common
            upper left part being kept; None where no option of that name exists.
    """

    clip_size: int
    stride_size: int
    read_image: Callable[[RawTile, str], NDArray[np.uint8]]
    read_label: Callable[[RawTile], tuple[NDArray[np.uint8], list[str]]]
    ignored_label: int
    max_size_difference: int | None = None

    def boxes(self, size: tuple[int, int]) -> list[Box]:
        """Windows over an image of a given height and width, at least one window large."""
        clip, stride = self.clip_size, self.stride_size
        return sliding_windows(size, (clip, clip), (stride, stride))


def window_name(tile: str, box: Box) -> str:
    """File name of a window, as MMSegmentation's converters name it: ``tile_left_top_right_bottom.png``."""
    return f'{tile}_{box.left}_{box.top}_{box.right}_{box.bottom}.png'


def _pad(array: NDArray[np.uint8], clip: int, value: int | None) -> NDArray[np.uint8]:
    """Extends an array that is smaller than a window to the right and bottom: mirrored, or with a value."""
    missing = [(0, max(0, clip - length)) for length in array.shape[:2]] + [(0, 0)] * (array.ndim - 2)
    if not any(after for _, after in missing):
        return array
    if value is None:
        return np.pad(array, missing, mode='symmetric')
    return np.pad(array, missing, constant_values=value)


def _encode(array: NDArray[np.uint8]) -> bytes:
    """PNG of (H, W), RGB (H, W, 3) or RGB and a fourth band (H, W, 4): cv2 expects BGR order."""
    if array.ndim == 2:
        return cv2.imencode('.png', array)[1].tobytes()
    bgr = cv2.cvtColor(array, cv2.COLOR_RGB2BGR if array.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    return cv2.imencode('.png', bgr)[1].tobytes()


def cut_tile(tile: RawTile, folders: dict[str, OutputFolder], cutting: Cutting) -> list[str]:
    """Cut one tile into windows of every variant still missing and mark it as done.

    Args:
        tile: The raw files.
        folders: Output folder by variant.
        cutting: Readers and geometry.

    Returns:
        Remarks for the user.

    Raises:
        UserError: If a file is damaged, the sizes differ or the output cannot be written.
    """
    labels, remarks = cutting.read_label(tile)
    images = {variant: cutting.read_image(tile, variant) for variant in folders}
    height, width = _common_size(tile, labels, images, cutting.max_size_difference)
    labels = _pad(labels[:height, :width], cutting.clip_size, cutting.ignored_label)
    boxes = cutting.boxes((labels.shape[0], labels.shape[1]))
    names = [window_name(tile.name, box) for box in boxes]
    statistics = {
        name: TileStatistics((box.height, box.width), count_labels(labels[box.slices]))
        for name, box in zip(names, boxes, strict=True)
    }
    annotations = [_encode(labels[box.slices]) for box in boxes]
    for variant, folder in folders.items():
        image = _pad(images.pop(variant)[:height, :width], cutting.clip_size, None)
        for name, box, annotation in zip(names, boxes, annotations, strict=True):
            folder.write('ann_dir', tile.split, name, annotation)
            folder.write('img_dir', tile.split, name, _encode(image[box.slices]))
        folder.mark_done(tile.name, statistics)
    return remarks


def _common_size(
    tile: RawTile, labels: NDArray[np.uint8], images: dict[str, NDArray[np.uint8]], tolerance: int | None
) -> tuple[int, int]:
    """Height and width that all files of a tile have."""
    height, width = labels.shape
    for variant, image in images.items():
        difference = max(abs(image.shape[0] - labels.shape[0]), abs(image.shape[1] - labels.shape[1]))
        if difference > (tolerance or 0):
            same_place = difference <= max(4, min(labels.shape) // 100)  # else images and labels lie apart
            option = f' or keep the common part with --max_size_difference {difference}'
            raise UserError(
                tile.images[variant],
                (
                    f'{image.shape[0]} x {image.shape[1]} pixels (height x width), but its label {tile.label} has '
                    f'{labels.shape[0]} x {labels.shape[1]}'
                ),
                f'use files of the same tile and release{option if tolerance is not None and same_place else ""}',
            )
        height, width = min(height, image.shape[0]), min(width, image.shape[1])
    return height, width


def convert_tiles(
    tiles: Sequence[RawTile], out_dir: Path, cutting: Cutting, *, settings: dict[str, Any], workers: int = 1
) -> list[Path]:
    """Convert tiles into one data set folder per variant: ``{variant}_{clip_size}_s{stride_size}``.

    A folder appears, complete, when its last tile is done; until then the work lies in a hidden folder beside
    it, where a later call with the same settings and sources continues. Its ``img_dir`` and ``ann_dir`` hold
    ``train`` and ``val`` each, the class statistics of a part lie beside its labels.

    Args:
        tiles: What to convert, all with the same variants.
        out_dir: Where the folders come to lie.
        cutting: Readers and geometry.
        settings: Everything else that decides on the content: kept beside the data and compared on a rerun.
        workers: Processes.

    Returns:
        The folders, in the order of the variants; those complete before are left as they are.

    Raises:
        UserError: If input or output is faulty, or a folder was made from other files or with other settings.
    """
    clip, stride = cutting.clip_size, cutting.stride_size
    settings = {'clip_size': clip, 'stride_size': stride, **settings}
    outputs = {}
    for variant in tiles[0].images:
        sources = {tile.name: tile.source(variant) for tile in tiles}
        outputs[variant] = OutputFolder(out_dir / f'{variant}_{clip}_s{stride}', sources, settings)
    pending = {variant: output for variant, output in outputs.items() if not output.complete()}
    with ExitStack() as stack:
        for output in pending.values():
            stack.enter_context(output.opened(SPLITS))
        jobs = [(tile, _todo(tile, pending), cutting) for tile in tiles if _todo(tile, pending)]
        run_tiles('Cutting tiles', cut_tile, jobs, total=len(tiles), workers=workers)
        for output in pending.values():
            output.commit()
    for variant, output in outputs.items():
        print(f'{output.folder}: {"written" if variant in pending else "was complete already"}')
    return [output.folder for output in outputs.values()]


def _todo(tile: RawTile, outputs: dict[str, OutputFolder]) -> dict[str, OutputFolder]:
    return {variant: output for variant, output in outputs.items() if not output.is_done(tile.name)}
