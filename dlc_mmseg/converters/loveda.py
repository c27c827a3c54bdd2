"""LoveDA: urban and rural scenes of 1024 x 1024 pixels, 0.3 m, in the folders that its configs expect.

Wang et al., NeurIPS Datasets and Benchmarks 2021. Its zips hold ``Train/{Urban,Rural}/{images_png,masks_png}``, ``Val``
alike, and ``Test`` without masks. Masks hold 0 where there are no data, and 1 to 7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.output import OutputFolder
from dlc_mmseg.converters.progress import run_tiles
from dlc_mmseg.converters.raw_files import RawFile, find_raw_files
from dlc_mmseg.converters.raw_images import read_image, read_rgb
from dlc_mmseg.converters.sources import TileSource
from dlc_mmseg.converters.unknown_labels import check_unknown
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import TileStatistics, count_labels

PARTS = ('Train', 'Val', 'Test')
SCENES = ('Urban', 'Rural')
IMAGES, MASKS = 'images_png', 'masks_png'
_UNLABELLED_PARTS = ('Test',)
_CODES = 8
_LAYOUT = '{Train,Val,Test}/{Urban,Rural}/{images_png,masks_png}/NUMBER.png'


class Place(NamedTuple):
    """Where a file of the data set belongs."""

    part: str
    scene: str
    kind: str
    tile: str


def recognise(raw: RawFile) -> Place | None:
    """Part, scene type, kind and tile of a file, from the folders and archives that it lies in."""
    folders: list[str] = list(PurePath(raw.path).parts)
    for member in raw.members:
        folders[-1] = PurePosixPath(folders[-1]).stem  # an archive is named after what it holds
        folders += PurePosixPath(member).parts
    if len(folders) < 4 or not raw.name.lower().endswith('.png'):
        return None
    part, scene, kind = (name.lower() for name in folders[-4:-1])
    known = [{name.lower(): name for name in names} for names in (PARTS, SCENES, (IMAGES, MASKS))]
    if part not in known[0] or scene not in known[1] or kind not in known[2]:
        return None
    return Place(known[0][part], known[1][scene], known[2][kind], PurePosixPath(raw.name).stem)


def collect(
    files: Iterable[RawFile], parts: Sequence[str], scenes: Sequence[str], *, skip_incomplete: bool
) -> dict[tuple[str, str], dict[str, TileSource]]:
    """Pair images with masks.

    Args:
        files: Raw files; of two for the same place the first is taken.
        parts: Parts wanted.
        scenes: Scene types wanted.
        skip_incomplete: Leave out tiles that lack the image or the mask instead of refusing.

    Returns:
        What each tile is made from, by part and scene type, in their order.

    Raises:
        UserError: If nothing is found, or an image or a mask is missing.
    """
    found: dict[tuple[str, str], dict[str, dict[str, RawFile]]] = {}
    for raw in files:
        place = recognise(raw)
        if place and place.part in parts and place.scene in scenes:
            tiles = found.setdefault((place.part, place.scene), {})
            tiles.setdefault(place.tile, {}).setdefault(place.kind, raw)
    if not found:
        remedy = 'give --dataset_path the folder that holds Train.zip and Val.zip, or the extracted Train and Val'
        raise UserError(None, f'no LoveDA images found, looked for {_LAYOUT}', remedy)
    missing = [
        f'{part}/{scene}/{kind}/{tile}.png'
        for (part, scene), tiles in found.items()
        for tile, held in tiles.items()
        for kind in ([IMAGES] if part in _UNLABELLED_PARTS else [IMAGES, MASKS])
        if kind not in held
    ]
    if missing and not skip_incomplete:
        raise UserError(
            'LoveDA',
            f'{len(missing)} files are missing, {missing[0]} among them',
            'download or extract them, or leave such tiles out with --skip_incomplete',
        )
    groups = [(part, scene) for part in parts for scene in scenes if (part, scene) in found]
    return {group: _sources(found[group], labelled=group[0] not in _UNLABELLED_PARTS) for group in groups}


def _sources(tiles: dict[str, dict[str, RawFile]], *, labelled: bool) -> dict[str, TileSource]:
    names = sorted(tiles, key=lambda name: (len(name), name))  # by number
    complete = [name for name in names if IMAGES in tiles[name] and (MASKS in tiles[name] or not labelled)]
    return {name: TileSource('', tiles[name][IMAGES], tiles[name][MASKS] if labelled else None) for name in complete}


def copy_tile(name: str, source: TileSource, folder: OutputFolder, max_unknown: float) -> list[str]:
    """Check a tile and write it as it was published.

    Args:
        name: Its number.
        source: Image and mask.
        folder: Where it belongs.
        max_unknown: Largest share of mask pixels with other values than 0 to 7, 0..1, that become 0.

    Returns:
        Remarks for the user.

    Raises:
        UserError: If a file is damaged or not what was published, sizes differ, or the output cannot be written.
    """
    file = f'{name}.png'
    remarks: list[str] = []
    statistics: dict[str, TileStatistics] = {}
    image = read_rgb(source.image)
    if source.label is not None:
        labels, remarks = _read_mask(source.label, max_unknown)
        if labels.shape != image.shape[:2]:
            sizes = [' x '.join(map(str, shape)) for shape in (image.shape[:2], labels.shape)]
            what = f'{sizes[0]} pixels (height x width), but its mask {source.label} has {sizes[1]}'
            raise UserError(source.image, what, 'use files of the same release')
        content = cv2.imencode('.png', labels)[1].tobytes() if remarks else source.label.read()
        folder.write(MASKS, '', file, content)
        statistics[file] = TileStatistics((labels.shape[0], labels.shape[1]), count_labels(labels))
    folder.write(IMAGES, '', file, source.image.read())
    folder.mark_done(name, statistics)
    return remarks


def _read_mask(raw: RawFile, max_unknown: float) -> tuple[NDArray[np.uint8], list[str]]:
    """Values 0 (no data) to 7, shape (H, W), and remarks."""
    values = read_image(raw)
    if values.ndim != 2:
        raise UserError(raw, f'has {values.shape[2]} bands, expected one of values 0 to 7', 'use the published masks')
    remarks = check_unknown(
        raw,
        values >= _CODES,
        max_unknown,
        content=values,
        problem='have none of the values 0 to 7',
        pixel_text=lambda row, column: str(values[row, column]),
    )
    return np.where(values < _CODES, values, 0).astype(np.uint8), remarks


def convert_loveda(
    dataset_path: Path,
    out_dir: Path,
    parts: Sequence[str] = PARTS,
    scenes: Sequence[str] = SCENES,
    *,
    max_unknown: float = 0.0,
    skip_incomplete: bool = False,
    workers: int = 1,
) -> list[Path]:
    """Put the published tiles, checked, where the configs expect them: ``{Train,Val,Test}/{Urban,Rural}``.

    Each of these folders appears when it is complete; a stopped conversion continues when run again.

    Args:
        dataset_path: Folder with the zips, or with ``Train``, ``Val`` and ``Test`` extracted, or one zip.
        out_dir: Folder of the data set.
        parts: Parts to convert, of those that are there.
        scenes: Scene types to convert, of those that are there.
        max_unknown: Share of pixels per mask with other values than 0 to 7 that become 0, 0..1.
        skip_incomplete: Leave out tiles that lack the image or the mask.
        workers: Processes.

    Returns:
        The folders; those complete before are left as they are.

    Raises:
        UserError: If input or output is faulty; nothing incomplete is left under its final name.
    """
    groups = collect(find_raw_files(dataset_path, ('.png',)), parts, scenes, skip_incomplete=skip_incomplete)
    _check_not_in_place(groups, out_dir)
    counts = ', '.join(f'{len(tiles)} in {part}/{scene}' for (part, scene), tiles in groups.items())
    print(f'LoveDA: {counts}')
    outputs = {
        group: OutputFolder(out_dir.joinpath(*group), tiles, {'dataset': 'LoveDA'}, (IMAGES, MASKS))
        for group, tiles in groups.items()
    }
    pending = {group: output for group, output in outputs.items() if not output.complete()}
    with ExitStack() as stack:
        for output in pending.values():
            stack.enter_context(output.opened(('',)))
        tiles = [(group, name) for group in pending for name in groups[group]]
        jobs = [
            (name, groups[group][name], pending[group], max_unknown)
            for group, name in tiles
            if not pending[group].is_done(name)
        ]
        run_tiles('Copying tiles', copy_tile, jobs, total=len(tiles), workers=workers)
        for output in pending.values():
            output.commit()
    for group, output in outputs.items():
        print(f'{output.folder}: {"written" if group in pending else "was complete already"}')
    return [output.folder for output in outputs.values()]


def _check_not_in_place(groups: dict[tuple[str, str], dict[str, TileSource]], out_dir: Path) -> None:
    """Refuse to write over the very files that are read."""
    for group, tiles in groups.items():
        folder = out_dir.joinpath(*group).resolve()
        for source in tiles.values():
            if not source.image.members and folder in source.image.path.resolve().parents:
                raise UserError(
                    f'--out_dir {out_dir}',
                    'the files lie there already, as the configs expect them',
                    'train with them as they are, or name another --out_dir for a checked copy',
                )
