"""What the user says about two data sets and the config to be written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlc_mmseg.converters.raster.class_words import NamedClass
from dlc_mmseg.errors import UserError
from dlc_mmseg.own_data.finding import Wanted

FEWEST_ITERATIONS = 40
"""Below it, the eight validations and the warm-up of the learning rate would fall on the same iterations."""
FROM_SCRATCH = ('tiny', 'small')
"""Networks of `dlc_custom.py` without pre-trained weights."""
_NO_NAMES = ('', 'img', 'imgs', 'image', 'images', 'img_dir', 'rgb', 'train', 'data', 'tiles')


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that is not looked for; None and empty values are.

    Attributes:
        source: The labelled data set.
        target: The other one.
        classes: Classes of the source's labels.
        ignored: Codes of no class.
        target_classes: Classes of the target's labels, if these have other codes.
        source_bands: Numbers of its bands.
        target_bands: The same of the target.
        source_pixel_size: Metres.
        target_pixel_size: Metres.
        resample: Bring the source to the target's pixel size.
        cut: Whether images are cut into tiles: where need be, or always.
        tile_size: Side of the tiles in pixels.
        validate: Labelled target images to validate on at most; 0: no validation.
        name: What the configs are named after.
        config_dir: Their folder.
        out_dir: Folder for tiles.
        preset: ``cpu`` or ``gpu``.
        network: Another one than the preset's.
        iterations: Another number than the preset's.
        workers: Processes that cut.
        overwrite: Replace configs that are there.

    Raises:
        UserError: If a number is out of its range.
    """

    source: Wanted
    target: Wanted
    classes: tuple[NamedClass, ...] = ()
    ignored: tuple[int, ...] | None = None
    target_classes: tuple[NamedClass, ...] = ()
    source_bands: Sequence[int] | None = None
    target_bands: Sequence[int] | None = None
    source_pixel_size: float | None = None
    target_pixel_size: float | None = None
    resample: bool = False
    cut: Literal['auto', 'always'] = 'auto'
    tile_size: int = 512
    validate: int = 64
    name: str | None = None
    config_dir: Path = Path('configs')
    out_dir: Path = Path('data')
    preset: Literal['cpu', 'gpu']
    network: str | None = None
    iterations: int | None = None
    workers: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        lowest = {'tile_size': 32, 'validate': 0, 'workers': 1, 'iterations': FEWEST_ITERATIONS}
        for field, least in lowest.items():
            value = getattr(self, field)
            if value is not None and value < least:
                raise UserError(f'--{field} {value}', 'is too small', f'give at least {least}')
        for field in ('source_pixel_size', 'target_pixel_size'):
            value = getattr(self, field)
            if value is not None and not 0 < value < float('inf'):
                raise UserError(f'--{field} {value}', 'is no size of a pixel', 'give metres on the ground')
        if self.name is not None and not re.fullmatch(r'\w+', self.name, re.ASCII):
            raise UserError(f'--name {self.name}', 'is no name of a config', 'use letters, digits and _ only')
        both = [None if bands is None else len(bands) for bands in (self.source_bands, self.target_bands)]
        if None not in both and both[0] != both[1]:
            what = f'source has {both[0]} bands, target {both[1]}'
            raise UserError('--source_bands, --target_bands', what, 'name as many of each, in one meaning')
        if self.target_classes and len(self.target_classes) != len(self.classes or self.target_classes):
            what = 'names other classes than --classes'
            raise UserError('--target_classes', what, 'name the same ones, with the codes of the target')

    @property
    def title(self) -> str:
        """What the configs are named after: source and target, as in `vai2potirrg`."""
        return self.name or f'{_word(self.source.place)}2{_word(self.target.place)}'


def _word(place: Path) -> str:
    path = place.resolve().with_suffix('') if place.is_file() else place.resolve()
    for part in reversed(path.parts):
        word = re.sub(r'\W+', '_', part, flags=re.ASCII).strip('_').lower()
        if word not in _NO_NAMES:
            return word
    return 'data'
