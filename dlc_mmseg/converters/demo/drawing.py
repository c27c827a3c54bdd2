"""Demo data: drawn aerial scenes in the raw ISPRS layouts, Potsdam as source and Vaihingen as target.

The gap between the two domains (figures in `converters.demo.domains`):

- spectral response: other mixing of the infrared, red and green bands, white balance, gamma and haze; vegetation is
  dull red in the source and bright red in the target, paved ground blue-grey against warm grey;
- illumination: sun from the south-east and 50 degrees high against south-west and 40 degrees, so that shadows are
  longer, darker and fall to the other side;
- ground sampling distance 5 against 9 cm, times a common `coarsening` so that a small tile still shows a street:
  things of equal size in metres are 1.8 times smaller in target pixels;
- optics: sharpened and clean against blurred and noisy;
- class shares: wide streets, lawns, parking and building sites against an old town with irregular small houses, more
  trees, fewer cars, little clutter.

Deterministic for a seed (same bytes with the same library versions); a tile does not depend on how many others are
drawn.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlc_mmseg.converters.demo import domains as demo_domains
from dlc_mmseg.converters.demo.scene import MARGIN, SUPERSAMPLING, draw_scene
from dlc_mmseg.converters.demo.sensor import Sensor, take_picture
from dlc_mmseg.converters.demo.town import TownStyle
from dlc_mmseg.converters.isprs_labels import COLOURS
from dlc_mmseg.converters.potsdam import POTSDAM
from dlc_mmseg.converters.vaihingen import VAIHINGEN
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import atomic_writer, remove_leftovers, write_atomically

MARKER = 'demo_data.json'
FORMAT = 'dlc_mmseg demo data'


@dataclass(frozen=True, kw_only=True)
class DrawnDataset:
    """One of the two drawn data sets.

    Args:
        name: Folder below the output folder.
        town: What is drawn.
        camera: How it is seen.
        ground_sampling: Metres per pixel of the real data.
        splits: Tile names of the published parts 'train' and 'val'.
        irrg: Path of an infrared-red-green image, `{}` for the tile.
        label: Path of a label.
        rgb: Path of a red-green-blue image, or None where the real data has none.
    """

    name: str
    town: TownStyle
    camera: Sensor
    ground_sampling: float
    splits: dict[str, tuple[str, ...]]
    irrg: str
    label: str
    rgb: str | None = None

    def paths(self, tile: str) -> list[str]:
        """Files of a tile, relative to the output folder."""
        return [f'{self.name}/{path.format(tile)}' for path in (self.irrg, self.label, self.rgb) if path]


SOURCE = DrawnDataset(
    name='potsdam',
    town=demo_domains.POTSDAM_TOWN,
    camera=demo_domains.POTSDAM_CAMERA,
    ground_sampling=0.05,
    splits=POTSDAM.splits,
    irrg='3_Ortho_IRRG/top_potsdam_{}_IRRG.tif',
    label='5_Labels_all/top_potsdam_{}_label.tif',
    rgb='2_Ortho_RGB/top_potsdam_{}_RGB.tif',
)
TARGET = DrawnDataset(
    name='vaihingen',
    town=demo_domains.VAIHINGEN_TOWN,
    camera=demo_domains.VAIHINGEN_CAMERA,
    ground_sampling=0.09,
    splits=VAIHINGEN.splits,
    irrg='top/top_mosaic_09cm_{}.tif',
    label='ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE/top_mosaic_09cm_{}.tif',
)


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What to draw.

    Args:
        seed: Any non-negative number.
        size: Side of a tile in pixels, 64..6000.
        potsdam_tiles: Number of training (0..24) and validation (0..14) tiles of the source.
        vaihingen_tiles: Number of training (0..16) and validation (0..17) tiles of the target.
        coarsening: Factor on the ground sampling distances, 1..8; 1 draws at the real 5 and 9 cm.

    Raises:
        UserError: If a value is out of range.
    """

    seed: int = 0
    size: int = 800
    potsdam_tiles: tuple[int, int] = (6, 2)
    vaihingen_tiles: tuple[int, int] = (5, 3)
    coarsening: float = 3.0

    def __post_init__(self) -> None:
        ranges = [
            ('seed', self.seed, 0, 2**32 - 1),
            ('size', self.size, 64, 6000),
            ('coarsening', self.coarsening, 1, 8),
        ]
        for domain, counts in self.counts():
            for part, count in zip(('train', 'val'), counts, strict=True):
                ranges.append((f'{domain.name}_tiles ({part})', count, 0, len(domain.splits[part])))
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise UserError(f'--{name} {value}', 'is out of range', f'must be {low}..{high}')
        if not self.tiles():
            raise UserError(
                '--potsdam_tiles and --vaihingen_tiles', 'are all 0: no tiles to draw', 'give one of them at least 1'
            )

    def counts(self) -> list[tuple[DrawnDataset, tuple[int, int]]]:
        """Domains with their number of training and validation tiles."""
        return [(SOURCE, self.potsdam_tiles), (TARGET, self.vaihingen_tiles)]

    def tiles(self) -> list[tuple[DrawnDataset, str]]:
        """Tiles to draw."""
        return [
            (domain, tile)
            for domain, counts in self.counts()
            for part, count in zip(('train', 'val'), counts, strict=True)
            for tile in domain.splits[part][:count]
        ]


def draw_tile(domain: DrawnDataset, tile: str, options: DemoOptions) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one tile.

    Returns:
        Bands (size, size, 4) near infrared, red, green, blue and classes (size, size), 0..5 in the order
        impervious surface, building, low vegetation, tree, car, clutter.
    """
    rng = np.random.default_rng([options.seed, zlib.crc32(f'{domain.name}/{tile}'.encode())])
    canvas = draw_scene(domain.town, size=options.size, pixel=domain.ground_sampling * options.coarsening, rng=rng)
    return take_picture(canvas, domain.camera, size=options.size, margin=MARGIN, supersampling=SUPERSAMPLING, rng=rng)


def make_demo_data(out_dir: Path, options: DemoOptions) -> Iterator[str]:
    """Draw the demo data, yielding the name of each tile when its files are written.

    Args:
        out_dir: New or empty folder, or one that holds demo data, which is replaced.
        options: What to draw.

    Raises:
        UserError: If `out_dir` holds anything else or cannot be written.
    """
    _claim(out_dir, options)
    for domain, tile in options.tiles():
        bands, classes = draw_tile(domain, tile, options)
        pictures = [bands[..., :3], np.array(COLOURS[1:], np.uint8)[classes], bands[..., 1:]]
        for path, picture in zip(domain.paths(tile), pictures, strict=False):
            _write_tiff(out_dir / path, picture)
        yield f'{domain.name}/{tile}'


def _claim(out_dir: Path, options: DemoOptions) -> None:
    """Check that the folder may be written, remove tiles of an earlier run that are not drawn again, mark it."""
    if out_dir.exists() and not out_dir.is_dir():
        raise UserError(f'--out_dir {out_dir}', 'is a file', 'name a folder')
    marker = out_dir / MARKER
    if out_dir.is_dir() and any(out_dir.iterdir()) and not _is_marker(marker):
        raise UserError(f'--out_dir {out_dir}', 'holds other files than demo data', 'name a new or empty folder')
    wanted = {path for domain, tile in options.tiles() for path in domain.paths(tile)}
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for path in _every_path():
            if path not in wanted:
                (out_dir / path).unlink(missing_ok=True)
        for folder in {(out_dir / path).parent for path in [MARKER, *_every_path()]}:
            remove_leftovers(folder)
    except OSError as error:
        raise UserError(
            f'--out_dir {out_dir}', f'cannot be written ({error.strerror})', 'name another folder'
        ) from error
    content = {
        'format': FORMAT,
        'version': 1,
        'seed': options.seed,
        'size': options.size,
        'coarsening': options.coarsening,
        'ground_sampling': {d.name: d.ground_sampling * options.coarsening for d in (SOURCE, TARGET)},
        'files': sorted(wanted),
    }
    write_atomically(marker, (json.dumps(content, indent=1) + '\n').encode())


def _is_marker(path: Path) -> bool:
    """Whether a file marks a folder as demo data."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get('format') == FORMAT


def _every_path() -> Iterable[str]:
    """All files that any options can lead to."""
    for domain in (SOURCE, TARGET):
        for names in domain.splits.values():
            for tile in names:
                yield from domain.paths(tile)


def _write_tiff(path: Path, picture: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) as TIFF; the file appears complete or not at all."""
    with atomic_writer(path) as file:
        Image.fromarray(picture).save(file, format='TIFF', compression='tiff_lzw')
