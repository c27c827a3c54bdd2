"""Items of rare class sampling beside two plain datasets, and a start with many tiles; processor seconds.

Tiles are 512 px PNGs of noise (which decodes slowly) with blocky labels; crops of 256 px are redrawn up to ten times.
The start is `dlc-mmseg check` and the building of the dataset, by default on 10 000 + 10 000 small tiles.

Example:
    OMP_NUM_THREADS=1 python benchmarks/data_loading.py
    OMP_NUM_THREADS=1 python benchmarks/data_loading.py --tiles 100000
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Ratio, fastest, seconds, table_of
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image
from provenance import ROOT

from dlc_mmseg.checks.preflight import check_config
from dlc_mmseg.datasets import Draw

CLASSES, TILES = tuple('abcdef'), 8


def write_tiles(root: Path, number: int, side: int) -> None:
    """Folders ``img`` and ``lbl``; few different tiles under many names."""
    generator = np.random.default_rng(0)
    for folder in ('img', 'lbl'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for kind in range(min(TILES, number)):
        blocks = generator.choice(6, (8, 8), p=[0.5, 0.2, 0.1, 0.1, 0.08, 0.02]).astype(np.uint8)
        labels = blocks.repeat(side // 8, 0).repeat(side // 8, 1)
        image = generator.integers(0, 256, (side, side, 3), dtype=np.uint8)
        for folder, pixels in (('img', image), ('lbl', labels)):
            first = root / folder / f't{kind:06d}.png'
            Image.fromarray(pixels).save(first)
            content = first.read_bytes()
            for name in range(kind + TILES, number, TILES):
                first.with_name(f't{name:06d}.png').write_bytes(content)


def dataset(root: Path, crop: int, *, labelled: bool) -> dict[str, Any]:
    """Config of one domain."""
    load = [{'type': 'LoadImageFromFile'}, *([{'type': 'LoadAnnotations'}] if labelled else [])]
    steps = [{'type': 'RandomCrop', 'crop_size': (crop, crop)}, {'type': 'RandomFlip', 'prob': 0.5}]
    return {
        'type': 'BaseSegDataset',
        'data_root': str(root),
        'data_prefix': {'img_path': 'img', **({'seg_map_path': 'lbl'} if labelled else {})},
        'img_suffix': '.png',
        'seg_map_suffix': '.png',
        'metainfo': {'classes': CLASSES, 'palette': [[40 * index] * 3 for index in range(6)]},
        'pipeline': [*load, *steps, {'type': 'PackSegInputs'}],
    }


def pair(root: Path, crop: int, rare: dict[str, Any]) -> dict[str, Any]:
    """Config of both domains."""
    return {
        'type': 'PairedDomainDataset',
        'source': dataset(root / 'source', crop, labelled=True),
        'target': dataset(root / 'target', crop, labelled=False),
        'rare_class_sampling': rare,
    }


def item_ratio(root: Path) -> Ratio:
    """Milliseconds of an item of 32 draws."""
    for domain in ('source', 'target'):
        write_tiles(root / domain, TILES, 512)
    pairs = DATASETS.build(pair(root, 256, {'min_pixels': 3000, 'min_crop_ratio': 6.0}))
    plain = [DATASETS.build(dataset(root / name, 256, labelled=name == 'source')) for name in ('source', 'target')]
    spent = fastest(
        {
            'rare': lambda: [pairs[Draw(0, ordinal)] for ordinal in range(32)],
            'plain': lambda: [part[ordinal % TILES] for ordinal in range(32) for part in plain],
        },
        3,
        least=0.0,
    )
    return Ratio(
        'item of rare class sampling', spent['rare'] / 0.032, 'two plain datasets', spent['plain'] / 0.032, 'ms'
    )


def start_ratios(root: Path, tiles: int) -> list[Ratio]:
    """Microseconds per tile of a start, beside listing the folders three times."""
    for domain in ('source', 'target'):
        write_tiles(root / domain, tiles, 32)
    pairs = pair(root, 32, {'min_pixels': 10})
    config = Config.fromfile(ROOT / 'configs/dlc_demo.py').to_dict()
    config['train_dataloader']['dataset'] = pairs
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg'):
        config.pop(key, None)
    listed = seconds(lambda: [DATASETS.build(pairs[name]) for name in ('source', 'target')])
    checked = seconds(lambda: check_config(config))
    DATASETS.build(pairs)  # counts labels, once
    built = seconds(lambda: DATASETS.build(pairs))
    where = f'{tiles} + {tiles} tiles'
    return [
        Ratio(f'checks of {where}', checked, 'two plain datasets', listed, 's'),
        Ratio(f'paired dataset of {where}', built, 'two plain datasets', listed, 's'),
    ]


def ratios(tiles: int = 10000) -> list[Ratio]:
    """Items and starts."""
    init_default_scope('mmseg')
    with tempfile.TemporaryDirectory() as folder:
        return [item_ratio(Path(folder) / 'large'), *start_ratios(Path(folder) / 'many', tiles)]


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tiles', type=int, default=10000, help='of each domain at the start')
    print(table_of(ratios(parser.parse_args().tiles)))
