"""Tiny folders of tiles and configs that read them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

CLASSES = ('ground', 'roof', 'car')
PALETTE = [[0, 0, 0], [255, 0, 0], [0, 0, 255]]
LOAD = {'type': 'LoadImageFromFile'}
LABELS = {'type': 'LoadAnnotations'}
PACK = {'type': 'PackSegInputs'}
AUGMENT = [
    {'type': 'RandomCrop', 'crop_size': (8, 8)},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'PhotoMetricDistortion'},
]


def write_tile(root: Path, name: str, counts: dict[int, int] | None, shade: int = 0, channels: int = 3) -> None:
    """A noise image of 16 x 16 pixels whose first pixel is ``shade``, and its labels.

    ``counts`` maps label values to pixels, the rest being 0; None writes no labels.
    """
    (root / 'img').mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(shade).integers(0, 255, (16, 16, channels), dtype=np.uint8)
    image[0, 0] = shade
    Image.fromarray(image.squeeze()).save(root / 'img' / f'{name}.png')
    if counts is not None:
        (root / 'lbl').mkdir(parents=True, exist_ok=True)
        labels = np.zeros(256, np.uint8)
        labels[: sum(counts.values())] = np.repeat(list(counts), list(counts.values()))
        Image.fromarray(labels.reshape(16, 16)).save(root / 'lbl' / f'{name}.png')


def write_domain(root: Path, tiles: list[dict[int, int]] | int, channels: int = 3) -> Path:
    """Tiles ``t00``, ``t01``, .. with the given labels, or a number of tiles without any."""
    for number, counts in enumerate(tiles if isinstance(tiles, list) else [None] * tiles):
        write_tile(root, f't{number:02d}', counts, shade=number, channels=channels)
    return root


def dataset_config(root: Path, *, labelled: bool = True, augment: bool = False, **changes: Any) -> dict[str, Any]:
    """Config of a folder written by `write_domain`."""
    steps = AUGMENT if augment else []
    return {
        'type': 'BaseSegDataset',
        'data_root': str(root),
        'data_prefix': {'img_path': 'img', **({'seg_map_path': 'lbl'} if labelled else {})},
        'img_suffix': '.png',
        'seg_map_suffix': '.png',
        'metainfo': {'classes': CLASSES, 'palette': PALETTE},
        'serialize_data': False,  # serialising collects garbage, which takes half a second
        'pipeline': [LOAD, *([LABELS] if labelled else []), *steps, PACK],
        **changes,
    }


def shade(item: dict[str, Any]) -> int:
    """Which tile an item without augmentation shows."""
    return int(item['inputs'][0, 0, 0])


def global_states() -> tuple[Any, ...]:
    """Comparable copy of the three global generators' states."""
    _, key, position, *_ = np.random.get_state()
    return random.getstate(), key.tolist(), position, torch.get_rng_state().tolist()
