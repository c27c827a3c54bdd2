"""Rasters, with labels as rasters or polygons, to a data set folder of tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dlc_mmseg.converters.output import OutputFolder
from dlc_mmseg.converters.progress import run_tiles
from dlc_mmseg.converters.raster.cutting import (
    IMAGES,
    LABELS,
    NO_DATA,
    SUFFIX,
    UNLABELLED,
    RasterCutting,
    RasterPair,
    cut_strip,
)
from dlc_mmseg.converters.raster.grid import grid_of
from dlc_mmseg.converters.raw_files import RawFile, raw_file
from dlc_mmseg.converters.sources import TileSource
from dlc_mmseg.converters.tiling import window_name
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import open_raster
from dlc_mmseg.windows import Box, sliding_windows


@dataclass(frozen=True)
class Tiles:
    """A folder of tiles.

    Attributes:
        folder: It holds ``img`` and, with labels, ``lbl``.
        tiles: How many there are.
        without_data: Tiles left out since no pixel of theirs holds data.
        without_labels: Tiles left out since no pixel of theirs has a class.
        new: Whether they were cut now.
    """

    folder: Path
    tiles: int
    without_data: int
    without_labels: int
    new: bool

    def line(self) -> str:
        """One line about it."""
        done = 'cut' if self.new else 'there already'
        left_out = self.without_data + self.without_labels
        why = [f'{number} {text}' for number, text in ((self.without_data, NO_DATA), (self.without_labels, UNLABELLED))]
        tail = f', {left_out} left out ({", ".join(text for text in why if text[0] != "0")})' if left_out else ''
        return f'{self.folder}: {self.tiles} tiles {done}{tail}'


def convert_rasters(
    pairs: Sequence[RasterPair],
    folder: Path,
    cutting: RasterCutting,
    *,
    clip_size: int = 512,
    stride_size: int | None = None,
    workers: int = 1,
) -> Tiles:
    """Cut rasters into georeferenced tiles; images that are no larger than a tile keep their size.

    The folder appears, complete, at the end. Until then the work lies in a hidden folder beside it, where a later call
    with the same arguments continues.

    Args:
        pairs: Images and label rasters.
        folder: Where the tiles come to lie: images in ``img``, class indices (255: no class) in ``lbl``.
        cutting: How they are cut.
        clip_size: Side of the tiles in pixels.
        stride_size: Step between tiles in pixels; None: ``clip_size``, so that tiles do not overlap.
        workers: Processes.

    Returns:
        The folder, and how many tiles it holds and lacks.

    Raises:
        UserError: If input or output is faulty, two images have one name, the folder was made otherwise, or no tile
            remains.
    """
    stride = stride_size or clip_size
    _check_names(pairs)
    strips = {unit: entry for pair in pairs for unit, entry in _strips(pair, cutting.factor, clip_size, stride).items()}
    sources = {
        unit: TileSource('', raw_file(pair.image), _labels_of(pair, cutting)) for unit, (pair, _) in strips.items()
    }
    settings: dict[str, Any] = {'clip_size': clip_size, 'stride_size': stride, 'factor': cutting.factor}
    settings |= {'nodata': cutting.nodata, 'labels': _described(cutting), 'unlabelled': cutting.keep_unlabelled}
    output = OutputFolder(folder, sources, settings, (IMAGES, LABELS))
    new = not output.complete()
    if new:
        with output.opened(('',)):
            todo = {unit: entry for unit, entry in strips.items() if not output.is_done(unit)}
            jobs = [(unit, pair, tiles, output, cutting) for unit, (pair, tiles) in todo.items()]
            run_tiles('Cutting tiles', cut_strip, jobs, total=len(strips), workers=workers)
            output.commit()
    counts = output.counts()
    found = Tiles(folder, counts['tiles'], counts.get(NO_DATA, 0), counts.get(UNLABELLED, 0), new)
    if not found.tiles:
        raise UserError(folder, f'no tile remains ({found.line()})', 'check that labels and images lie on one another')
    return found


def _check_names(pairs: Sequence[RasterPair]) -> None:
    """Refuse images whose tiles would overwrite each other; disks that ignore case count."""
    first: dict[str, Path] = {}
    for pair in pairs:
        other = first.setdefault(pair.name.casefold(), pair.image)
        if other != pair.image:
            raise UserError(pair.image, f'would give tiles of the same names as {other}', 'rename one of them')


def _strips(pair: RasterPair, factor: float, clip: int, stride: int) -> dict[str, tuple[RasterPair, dict[str, Box]]]:
    """Tiles of each row of windows; one of them keeps the name of its image."""
    with open_raster(str(pair.image)) as file:
        size = grid_of(file, factor).size
    boxes = sliding_windows(size, (clip, clip), (stride, stride))
    if len(boxes) == 1:
        return {pair.name: (pair, {pair.name + SUFFIX: boxes[0]})}
    strips: dict[str, tuple[RasterPair, dict[str, Box]]] = {}
    for box in boxes:
        _, tiles = strips.setdefault(f'{pair.name}_row{box.top}', (pair, {}))
        tiles[str(Path(window_name(pair.name, box)).with_suffix(SUFFIX))] = box
    return strips


def _labels_of(pair: RasterPair, cutting: RasterCutting) -> RawFile | None:
    if cutting.polygons is not None:
        return raw_file(cutting.polygons.path)
    return None if pair.label is None or cutting.coding is None else raw_file(pair.label)


def _described(cutting: RasterCutting) -> dict[str, Any] | None:
    """What decides on the labels, as JSON gives it back."""
    if cutting.polygons is not None:
        reading = cutting.polygons
        return {'layer': reading.layer, 'attribute': reading.attribute, 'background': reading.background}
    if cutting.coding is None:
        return None
    coding = asdict(cutting.coding)
    return {'classes': list(coding['classes']), 'codes': [list(codes) for codes in coding['codes']]}
