"""A folder as a user of the package has it: configs, data of two domains, a trained model, rasters to map."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
from documentation.pages import ROOT
from documentation.warm_programs import Programs
from PIL import Image

PREPARATION = """
dlc-mmseg configs --copy configs
dlc-mmseg make-demo-data --out_dir data/demo_raw --seed 1 --size 256
dlc-mmseg convert-potsdam --dataset_path data/demo_raw/potsdam --out_dir data/demo/potsdam \\
    --clip_size 128 --stride_size 128 --bands irrg
dlc-mmseg convert-vaihingen --dataset_path data/demo_raw/vaihingen --out_dir data/demo/vaihingen \\
    --clip_size 128 --stride_size 128
"""
RASTERS = (
    'tiles/new_city/a.tif',
    'tiles/new_city/b.tif',
    'city.tif',
    'orthophotos/city.tif',
    'north/a.tif',
    'south/a.tif',
)
TRAINED = ('dlc_custom', 'source_only_custom')


class Place:
    """The folder, made once; pages work in copies of it.

    Args:
        folder: New folder.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        short = str(Path(__file__).with_name('short_program.py'))
        self.programs = Programs(folder / 'bin', {name: (short, name) for name in ('mim', 'dlc-mmseg')})
        self.folder = folder / 'place'
        self.folder.mkdir()
        for name in ('tools', 'benchmarks'):
            (self.folder / name).symlink_to(ROOT / name)
        self.run(PREPARATION, self.folder)
        write_own_data(self.folder)
        write_rasters(self.folder)
        write_scenes(self.folder)
        for name in TRAINED:
            self.run(f'mim train mmsegmentation configs/{name}.py --gpus 1', self.folder)

    def copy(self, folder: Path) -> Path:
        """Copy the place for one page; what is large is shared.

        Args:
            folder: New folder.
        """
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=_copy)
        for path in folder.glob('work_dirs/*/last_checkpoint'):  # holds the place's path
            path.write_text(str(path.with_name(Path(path.read_text(encoding='utf-8')).name)), encoding='utf-8')
        return folder

    def run(self, code: str, folder: Path) -> str:
        """Run a shell block; what it prints.

        Args:
            code: The block.
            folder: Where.
        """
        path = os.pathsep.join(
            [str(self.programs.folder), str(Path(sys.executable).parent), os.environ.get('PATH', '')]
        )
        done = subprocess.run(
            ['bash', '-euo', 'pipefail', '-c', code],
            cwd=folder,
            env={**os.environ, 'PATH': path, 'OMP_NUM_THREADS': '1', 'COLUMNS': '120'},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f'{code}\n{(done.stdout + done.stderr)[-4000:]}'
        return done.stdout + done.stderr


def _copy(source: str, target: str) -> None:
    """Link checkpoints, which programs replace and never change; copy all else."""
    if source.endswith('.pth'):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


def write_own_data(place: Path) -> None:
    """Write the folders that `dlc_custom.py` names, with its five classes.

    Args:
        place: Folder with the demo data.
    """
    for domain, tiles in (('source', 'potsdam/irrg_128_s128'), ('target', 'vaihingen/irrg_128_s128')):
        root = place / 'data' / f'my_{domain}'
        images, labels = (place / 'data' / 'demo' / tiles / name / 'train' for name in ('img_dir', 'ann_dir'))
        shutil.copytree(images, root / 'img')
        (root / 'lbl').mkdir()
        for path in labels.glob('*.png'):
            stored = np.asarray(Image.open(path))  # 1 to 5 are classes of ours, 6 is clutter, 0 unknown
            Image.fromarray(np.where((stored > 0) & (stored < 6), stored - 1, 255).astype(np.uint8)).save(
                root / 'lbl' / path.name
            )


def write_rasters(place: Path) -> None:
    """Write georeferenced images where pages look for them.

    Args:
        place: Folder with the data of `write_own_data`.
    """
    images = sorted((place / 'data' / 'my_target' / 'img').glob('*.png'))
    for number, name in enumerate(RASTERS):
        bands = np.asarray(Image.open(images[number % len(images)])).transpose(2, 0, 1)
        write_raster(place / name, bands, west=500_000 + 100 * number)
    shutil.copy(images[0], place / 'tile.png')


def write_raster(path: Path, bands: np.ndarray, west: float = 500_000) -> None:
    """Write a GeoTIFF of 0.5 m.

    Args:
        path: The file.
        bands: Shape (C, H, W).
        west: Easting of its left border in UTM zone 33.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, 'w', driver='GTiff', dtype=bands.dtype, count=len(bands), height=bands.shape[1], width=bands.shape[2],
        crs='EPSG:32633', transform=rasterio.transform.from_origin(west, 5_500_000, 0.5, 0.5),
    ) as raster:  # fmt: skip
        raster.write(bands)


def write_scenes(place: Path) -> None:
    """Write four bands of 16 bits of two years, the first with labels.

    Args:
        place: Folder with the data of `write_own_data`.
    """
    for year, domain in ((2018, 'source'), (2024, 'target')):
        for path in sorted((place / 'data' / f'my_{domain}' / 'img').glob('*.png'))[:4]:
            bands = np.asarray(Image.open(path)).transpose(2, 0, 1).astype(np.uint16)
            write_raster(place / f'data/scene_{year}/img/{path.stem}.tif', 16 * bands[[2, 1, 0, 0]])
            labels = np.asarray(Image.open(path.parents[1] / 'lbl' / path.name))
            if domain == 'source':
                write_raster(place / f'data/scene_{year}/lbl/{path.stem}.tif', labels[None])
