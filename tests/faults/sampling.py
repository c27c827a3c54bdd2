"""Statistics files and settings of rare class sampling."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dlc_mmseg.datasets import compute_class_statistics, write_class_statistics
from faults.injecting import DATA, fault, field_fault, noise, png, shape_labels


def statistics(root: Path, **changes: Any) -> Path:
    path = root / 'source/lbl/class_statistics.json'
    write_class_statistics(path, {**compute_class_statistics(root / 'source/lbl'), **changes})
    return path


def make_newer(path: Path, than: Path) -> None:
    time = than.stat().st_mtime_ns + 10**10
    os.utime(path, ns=(time, time))


@fault(
    'statistics older than a tile',
    '/source/lbl/class_statistics.json',
    'is older than t01.png',
    'counted anew',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    make_newer(root / 'source/lbl/t01.png', statistics(root))


@fault(
    'named statistics older than a tile', '/source/lbl/class_statistics.json', 'is older than t01.png', 'write it anew'
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({f'{DATA}.rare_class_sampling.statistics': str(statistics(root))})
    make_newer(root / 'source/lbl/t01.png', statistics(root))


@fault(
    'named statistics of other tiles', '/statistics.json', 'has no entry for t00.png (3 such tiles)', 'write it anew'
)
def _(root: Path, config: Config) -> None:
    write_class_statistics(root / 'statistics.json', {})
    config.merge_from_dict({f'{DATA}.rare_class_sampling.statistics': str(root / 'statistics.json')})


field_fault(
    'named statistics missing',
    f'{DATA}.rare_class_sampling.statistics',
    lambda r: str(r / 'none.json'),
    'class statistics are missing',
    'correct the path',
    where='/none.json',
)


@fault('statistics that are no JSON', '/source/lbl/class_statistics.json', 'cannot be read', 'delete it')
def _(root: Path, config: Config) -> None:
    (root / 'source/lbl/class_statistics.json').write_text('{', encoding='utf-8')


@fault('statistics that contradict themselves', '/source/lbl/class_statistics.json', 'damaged', 'delete it')
def _(root: Path, config: Config) -> None:
    path = statistics(root)
    content = json.loads(path.read_text(encoding='utf-8'))
    content['files']['t00.png']['counts'] = {'0': 3}
    path.write_text(json.dumps(content), encoding='utf-8')


@fault(
    'statistics of tiles that were replaced',
    '/source/lbl/class_statistics.json',
    'says t02.png has (16, 16) pixels',
    'delete it',
    alone=False,
)
def _(root: Path, config: Config) -> None:
    path = statistics(root)
    for folder, pixels in (('img', noise(1, 24, 24, 3)), ('lbl', shape_labels(24))):
        png(root / 'source' / folder / 't02.png', pixels)
    make_newer(path, root / 'source/lbl/t02.png')


@fault(
    'statistics that count otherwise',
    '/source/lbl/class_statistics.json',
    'counts other label pixels than t00.png',
    'delete it',
)
def _(root: Path, config: Config) -> None:
    path = statistics(root)
    png(root / 'source/lbl/t00.png', shape_labels())
    make_newer(path, root / 'source/lbl/t00.png')


field_fault(
    'unknown setting of the sampling',
    f'{DATA}.rare_class_sampling.temprature',
    0.5,
    "'temprature'",
    'known are temperature',
    where=f'{DATA}.rare_class_sampling',
)
field_fault(
    'impossible setting of the sampling',
    f'{DATA}.rare_class_sampling.temperature',
    0,
    'temperature is 0',
    'positive',
    where=f'{DATA}.rare_class_sampling',
)
field_fault(
    'min_pixels beyond a tile',
    f'{DATA}.rare_class_sampling.min_pixels',
    3000,
    '3000 exceeds the 256 pixels',
    'well below',
    severity='warning',
)
field_fault(
    'min_pixels beyond every image',
    f'{DATA}.rare_class_sampling.min_pixels',
    45,
    'no image holds more than 45 pixels of car (at most 40)',
    'lower it',
    severity='warning',
)
field_fault(
    'min_crop_ratio beyond a crop',
    f'{DATA}.rare_class_sampling.min_crop_ratio',
    30.0,
    'exceeds the 256 pixels of a crop',
    'lower it',
    severity='warning',
)
