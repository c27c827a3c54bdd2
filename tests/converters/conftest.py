"""Small data sets in the raw layouts, as folders or as the packages that are downloaded."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PALETTE = np.array(
    [(0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)], np.uint8
)
SIZE = (96, 80)


class RawLayout:
    """Draws tiles in a folder and remembers what was drawn."""

    def __init__(self, root: Path, seed: int = 0) -> None:
        self.root = root
        self.rng = np.random.default_rng(seed)
        self.images: dict[str, np.ndarray] = {}
        self.labels: dict[str, np.ndarray] = {}

    def save(self, name: str, array: np.ndarray, **options: object) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(path, **options)
        return path

    def image(self, name: str, size: tuple[int, int] = SIZE, **options: object) -> None:
        self.images[name] = self.rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        self.save(name, self.images[name], **options)

    def label(self, name: str, size: tuple[int, int] = SIZE, first: int = 0, **options: object) -> None:
        blocks = self.rng.integers(first, 7, (-(-size[0] // 8), -(-size[1] // 8)))
        self.labels[name] = np.kron(blocks, np.ones((8, 8), int))[: size[0], : size[1]].astype(np.uint8)
        self.save(name, PALETTE[self.labels[name]], **options)

    def potsdam(self, *tiles: str, size: tuple[int, int] = SIZE) -> RawLayout:
        for tile in tiles:
            self.image(f'2_Ortho_RGB/top_potsdam_{tile}_RGB.tif', size)
            self.image(f'3_Ortho_IRRG/top_potsdam_{tile}_IRRG.tif', size, compression='tiff_lzw')
            self.label(f'5_Labels_all/top_potsdam_{tile}_label.tif', size, first=1, compression='tiff_lzw')
        return self

    def vaihingen(self, *tiles: str, size: tuple[int, int] = SIZE) -> RawLayout:
        complete = 'ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE'
        for tile in tiles:
            name = f'top_mosaic_09cm_{tile}.tif'
            self.image(f'ISPRS_semantic_labeling_Vaihingen/top/{name}', size)
            self.label(f'{complete}/{name}', size, first=1)
        return self


@pytest.fixture
def raw(tmp_path: Path) -> RawLayout:
    """An empty folder to draw raw tiles in."""
    return RawLayout(tmp_path / 'raw')


@pytest.fixture
def palette() -> np.ndarray:
    """Class colours (7, 3), RGB, by label value: written down here once more, independently of the package."""
    return PALETTE


@pytest.fixture
def pack() -> Callable[..., Path]:
    """Zips every subfolder of a folder into a package of that name, as the ISPRS offers them."""

    def packed(root: Path, target: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
        target.mkdir(parents=True)
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            with zipfile.ZipFile(target / f'{folder.name}.zip', 'w', compression) as archive:
                for path in sorted(folder.rglob('*.tif')):
                    # the ISPRS' label package has its files at the top, the ortho packages have a folder
                    inside = path.relative_to(folder if 'Vaihingen' in folder.name else root)
                    archive.write(path, inside)
        return target

    return packed


@pytest.fixture
def read_tree() -> Callable[[Path], dict[str, bytes]]:
    """Content of a data set folder by relative path, its record (which holds file times) left out."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob('*') if path.is_file() and path.name != 'conversion.json')
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    return read
