"""WHU-OPT-SAR: 100 pairs of optical and radar scenes of about 5556 x 3704 pixels, 5 m (Li et al., JAG 106, 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.converters.pairing import RawDataset, collect_tiles
from dlc_mmseg.converters.raw_bands import read_bands, to_8_bits
from dlc_mmseg.converters.raw_files import RawFile, find_raw_files
from dlc_mmseg.converters.tiling import Cutting, RawTile, convert_tiles
from dlc_mmseg.converters.unknown_labels import check_unknown
from dlc_mmseg.converters.whuoptsar_split import TEST, TRAIN
from dlc_mmseg.errors import UserError

IGNORED = 255
_FOLDERS = {'optical': 'optical', 'opt': 'optical', 'sar': 'sar', 'lbl': 'full', 'label': 'full', 'labels': 'full'}


@dataclass(frozen=True)
class WhuOptSarReading:
    """How the scenes are read.

    Attributes:
        rgb_bands: Which bands, counted from 1, of an optical scene are red, green and blue. The published files
            hold blue, green, red, near infrared, as the data set's authors say.
        optical_channels: 3, or 4 with the near infrared (band 4) behind the colours.
        sar_channels: 3, the one band three times, or 1.
        optical_range: Values scaled to 0 and 255 if the file has more than 8 bits; None: percentiles of the scene.
        sar_range: The same for radar.
        num_classes: 7, code 70 (others) becoming 0 (background) as in the release of DLC, or 8.
    """

    rgb_bands: tuple[int, int, int] = (3, 2, 1)
    optical_channels: int = 3
    sar_channels: int = 3
    optical_range: tuple[float, float] | None = None
    sar_range: tuple[float, float] | None = None
    num_classes: int = 7


def recognise(raw: RawFile) -> tuple[str, str] | None:
    """Scene and kind of a file: its name and the folder it lies in."""
    kind = _FOLDERS.get(raw.folder.lower())
    return (PurePosixPath(raw.name).stem, kind) if kind else None


def whu_opt_sar(train: Sequence[str] = TRAIN, val: Sequence[str] = TEST) -> RawDataset:
    """The data set with given parts; by default the division its authors publish."""
    return RawDataset(
        title='WHU-OPT-SAR',
        splits={'train': tuple(train), 'val': tuple(val)},
        recognise=recognise,
        images={'optical': 'optical/{tile}.tif', 'sar': 'sar/{tile}.tif'},
        labels='lbl/{tile}.tif',
    )


def read_image(tile: RawTile, variant: str, *, reading: WhuOptSarReading) -> NDArray[np.uint8]:
    """Read a scene.

    Args:
        tile: Its files.
        variant: ``'optical'`` or ``'sar'``.
        reading: Bands and scaling.

    Returns:
        Array (H, W, C), or (H, W) for radar of one channel, values 0..255.

    Raises:
        UserError: If the file is damaged or has other bands than expected.
    """
    raw = tile.images[variant]
    bands = read_bands(raw)
    if variant == 'sar':
        if bands.shape[2] != 1:
            raise UserError(raw, f'has {bands.shape[2]} bands, expected one', 'use the published radar files')
        scaled = to_8_bits(bands, reading.sar_range)
        return scaled[..., 0] if reading.sar_channels == 1 else np.repeat(scaled, 3, axis=2)
    wanted = [*reading.rgb_bands, 4][: reading.optical_channels]
    if bands.shape[2] < max(wanted):
        raise UserError(
            raw,
            f'has {bands.shape[2]} band(s), but band {max(wanted)} is asked for',
            'name the red, green and blue ones with --rgb_bands, or leave out --optical_channels 4',
        )
    return to_8_bits(np.ascontiguousarray(bands[..., [band - 1 for band in wanted]]), reading.optical_range)


def read_label(tile: RawTile, *, num_classes: int, max_unknown: float) -> tuple[NDArray[np.uint8], list[str]]:
    """Read a label: codes 0, 10, .., 70 become 0..6, 70 becoming 0 (of 7 classes) or 7 (of 8).

    Args:
        tile: The tile whose label is wanted.
        num_classes: 7 or 8.
        max_unknown: Largest share of pixels with other codes, 0..1, that become 255 (ignored).

    Returns:
        Values (H, W) and remarks for the user.

    Raises:
        UserError: If the label is damaged, has several bands or too many other codes.
    """
    codes = read_bands(tile.label)
    if codes.shape[2] != 1 or codes.dtype not in (np.uint8, np.uint16):
        raise UserError(
            tile.label,
            f'has {codes.shape[2]} band(s) of {codes.dtype}, expected one of class codes 0, 10, .., 70',
            'use the published labels',
        )
    codes = codes[..., 0]
    table = np.full(int(codes.max()) + 71, IGNORED, np.uint8)
    table[0:71:10] = [0, 1, 2, 3, 4, 5, 6, 7 if num_classes == 8 else 0]
    values: NDArray[np.uint8] = table[codes]
    remarks = check_unknown(
        tile.label,
        values == IGNORED,
        max_unknown,
        content=codes,
        problem='have no class code (0, 10, .., 70)',
        pixel_text=lambda row, column: str(codes[row, column]),
    )
    return values, remarks


def read_ids(path: Path) -> tuple[str, ...]:
    """Scene names from a text file: one per line, with or without ``.tif``; empty lines and ``#`` are left out.

    Raises:
        UserError: If the file cannot be read or names nothing.
    """
    try:
        lines = [line.partition('#')[0].strip() for line in path.read_text(encoding='utf-8-sig').splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            path, f'list of scenes cannot be read ({error})', 'give a text file with one name per line'
        ) from error
    names = tuple(dict.fromkeys(PurePosixPath(line).stem if '.tif' in line else line for line in lines if line))
    if not names:
        raise UserError(path, 'list of scenes is empty', 'write one name per line')
    return names


def _check_ids(train: Sequence[str], val: Sequence[str], files: Sequence[RawFile]) -> None:
    if both := sorted({*train} & {*val}):
        raise UserError(None, f'scene {both[0]} is in both --train_ids and --val_ids', 'leave it in one')
    there = {key[0] for key in map(recognise, files) if key}
    if absent := [name for name in (*train, *val) if name not in there]:
        raise UserError(
            None, f'scene {absent[0]} of the id lists has no files (one of {len(absent)})', 'correct the lists'
        )


def convert_whuoptsar(
    dataset_path: Path,
    out_dir: Path,
    variants: Sequence[str] | None = None,
    *,
    ids: tuple[Path, Path] | None = None,
    reading: WhuOptSarReading | None = None,
    clip_size: int = 512,
    stride_size: int = 256,
    max_unknown: float = 0.0,
    max_size_difference: int = 0,
    skip_incomplete: bool = False,
    workers: int = 1,
) -> list[Path]:
    """Convert the raw scenes into tiles; optical and radar tiles get the same names and labels.

    Args:
        dataset_path: Folder with ``optical``, ``sar`` and ``lbl``, extracted or as zip archives.
        out_dir: Folder of the data set; ``{optical,sar}_{clip_size}_s{stride_size}`` is added.
        variants: ``'optical'``, ``'sar'`` or both; None takes what is there.
        ids: Files that list the training and the validation scenes; None takes the published division.
        reading: Bands, scaling and classes.
        clip_size: Side of the windows in pixels.
        stride_size: Step between windows in pixels.
        max_unknown: Share of pixels of unknown code tolerated per label, 0..1.
        max_size_difference: Pixels by which the files of a scene may differ in size.
        skip_incomplete: Leave scenes out that lack an image or the label.
        workers: Processes.

    Returns:
        Folders of the converted data.

    Raises:
        UserError: If input or output is faulty; nothing incomplete is left under its final name.
    """
    reading = reading or WhuOptSarReading()
    files = find_raw_files(dataset_path)
    dataset = whu_opt_sar()
    if ids is not None:
        dataset = whu_opt_sar(read_ids(ids[0]), read_ids(ids[1]))
        _check_ids(dataset.splits['train'], dataset.splits['val'], files)
    tiles, remarks = collect_tiles(files, dataset, variants, skip_incomplete=skip_incomplete)
    print(*remarks, sep='\n')
    label_reader = partial(read_label, num_classes=reading.num_classes, max_unknown=max_unknown)
    image_reader = partial(read_image, reading=reading)
    cutting = Cutting(clip_size, stride_size, image_reader, label_reader, IGNORED, max_size_difference)
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(reading).items()}
    return convert_tiles(tiles, out_dir, cutting, settings={'dataset': dataset.title, **settings}, workers=workers)
