"""Rows of an image file as the network shall see them, without holding the file in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import mmcv
import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from dlc_mmseg.datasets.raster_loading import picture_kind
from dlc_mmseg.datasets.raster_reading import Raster, RasterReading
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import open_raster

Colours = Literal['stored', 'color', 'grayscale']
_JPEG_PIXELS = 2**26
"""Largest JPEG that is decoded whole, as pipelines do it: decoders differ in how they spread colour."""
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue, as OpenCV has them."""


@dataclass(frozen=True)
class ImageReading:
    """How the images of a model are read.

    Attributes:
        raster: Bands, scale and nodata.
        colours: ``stored`` takes bands as they lie in rasters; ``color`` and ``grayscale`` make three or one of any
            8-bit image, as `LoadImageFromFile` does. Pictures (PNG, JPEG) are made three in any case.
        reversed_colours: Whether three bands come in reverse, as OpenCV delivers colours.
    """

    raster: RasterReading = field(default_factory=RasterReading)
    colours: Colours = 'stored'
    reversed_colours: bool = True


def configured_reading(config: Config, options: Mapping[str, Any]) -> ImageReading:
    """How a config's pipelines read images.

    Args:
        config: A whole config; the pipeline of its test data counts, or else that of its target.
        options: Arguments of `RasterReading` that replace the config's.

    Returns:
        The reading.

    Raises:
        UserError: If an option is out of its range.
    """
    step = _loading_step(config)
    kind = str(step.get('type', 'LoadRasterFromFile')).rpartition('.')[2]
    settings = {name: step[name] for name in ('bands', 'scale', 'nodata', 'nodata_in') if name in step}
    try:
        raster = RasterReading(**{**(settings if kind == 'LoadRasterFromFile' else {}), **options})
    except UserError as error:
        raise UserError('bands, scale, nodata', error.what, error.remedy) from error
    colours: Colours = 'stored'
    if kind == 'LoadImageFromFile' and 'bands' not in options:
        flag = str(step.get('color_type', 'color'))
        colours = 'grayscale' if 'gray' in flag else 'color' if 'color' in flag else 'stored'
    return ImageReading(raster, colours, kind in ('LoadRasterFromFile', 'LoadImageFromFile'))


def left_out_steps(config: Config) -> list[str]:
    """Steps of the test pipeline that prediction window by window leaves out.

    Args:
        config: A whole config.
    """
    steps = _pipeline(config)
    names = [str(step.get('type')).rpartition('.')[2] for step in steps]
    return [name for name in names if not name.startswith(('Load', 'Pack'))]


class ImageRows:
    """An open image, of which rows are read.

    Attributes:
        file: Dataset of rasterio.
        size: Height and width in pixels.
        channels: Channels that are delivered.
    """

    def __init__(self, file: Any, reading: ImageReading, picture: bool, channels: int | None) -> None:
        self.file = file
        self.size: tuple[int, int] = (file.height, file.width)
        self._palette = _palette(file) if picture or reading.colours != 'stored' else None
        colours: Colours = reading.colours
        if picture and colours == 'stored' and reading.raster.bands is None:
            colours = 'color'
        self._colours: Colours = 'color' if self._palette is not None and colours == 'stored' else colours
        self._reading = self._chosen(reading, channels)
        self._reversed = reading.reversed_colours
        self._decoded = self._decode() if picture and file.driver == 'JPEG' else None
        count = len(self._reading.band_numbers(file))
        self.channels = {'stored': count, 'color': 3, 'grayscale': 1}[self._colours]
        if channels is not None and self.channels != channels:
            what = f'gives {self.channels} channels, the model takes {channels}'
            raise UserError(file.name, what, f'choose {channels} of its {file.count} bands with --bands')

    def _chosen(self, reading: ImageReading, channels: int | None) -> RasterReading:
        """The bands of this file: without alpha, which becomes nodata, where the model takes one channel less."""
        from rasterio.enums import ColorInterp

        file, raster = self.file, reading.raster
        if self._colours != 'stored':
            if file.dtypes[0] != 'uint8':
                what = f'holds {file.dtypes[0]} values, the config loads 8 bits (LoadImageFromFile)'
                raise UserError(file.name, what, 'train with LoadRasterFromFile, or convert the image to 8 bits')
            return replace(raster, bands=[1, 2, 3] if file.count >= 3 else [1])
        with_alpha = file.count > 1 and file.colorinterp[-1] == ColorInterp.alpha
        if raster.bands is None and with_alpha and channels == file.count - 1:
            return replace(raster, bands=list(range(1, file.count)))
        return raster

    def _decode(self) -> NDArray[np.uint8] | None:
        """A JPEG, shape (H, W, bands), decoded as in training, but never turned as its EXIF data say."""
        if (
            self.size[0] * self.size[1] > _JPEG_PIXELS
            or self._reading.scale is not None
            or self.file.count not in (1, 3)
        ):
            return None
        flag = 'color_ignore_orientation' if self.file.count == 3 else 'unchanged'
        image: Any = mmcv.imread(self.file.name, flag=flag)
        if image is None or image.shape[:2] != self.size:
            return None
        decoded: NDArray[np.uint8] = image.reshape(*self.size, -1)[..., ::-1]  # as the file has them
        return decoded if decoded.shape[2] == self.file.count else None

    def read(self, top: int, bottom: int, left: int, right: int) -> Raster:
        """Read a part of the image.

        Args:
            top: First row.
            bottom: Row after the last.
            left: First column.
            right: Column after the last.

        Returns:
            Pixels (H, W, C) in the order in which pipelines deliver channels, and those without data.
        """
        from rasterio.windows import Window

        window = Window(left, top, right - left, bottom - top)
        image, nodata = self._reading.read(self.file, window)
        if self._decoded is not None:
            bands = [band - 1 for band in self._reading.band_numbers(self.file)]
            image = self._decoded[top:bottom, left:right, bands].astype(image.dtype)
        if self._palette is not None:
            image = self._palette[image[..., 0]]
        if self._colours == 'color' and image.shape[2] == 1:
            image = np.repeat(image, 3, axis=2)
        elif self._colours == 'grayscale' and image.shape[2] == 3:
            image = np.rint(image.astype(np.float32) @ _GREY)[..., None].astype(image.dtype)
        reverse = self._reversed and image.shape[2] == 3
        return Raster(image[..., ::-1] if reverse else image, nodata)


@contextmanager
def open_rows(path: str, reading: ImageReading, channels: int | None = None) -> Iterator[ImageRows]:
    """Open an image to be read row by row.

    Args:
        path: Any file that GDAL reads.
        reading: How.
        channels: Channels that the model takes; None takes any number.

    Yields:
        The image.

    Raises:
        UserError: If it cannot be read, or gives another number of channels.
    """
    picture = False
    try:
        with open(path, 'rb') as file:
            picture = bool(picture_kind(file.read(32)))
    except OSError:
        pass  # a name that only GDAL understands
    with open_raster(path) as raster:
        yield ImageRows(raster, reading, picture, channels)


def _palette(file: Any) -> NDArray[np.uint8] | None:
    """Colours (256, 3) of an image that holds indices."""
    from rasterio.enums import ColorInterp

    if file.colorinterp[0] != ColorInterp.palette:
        return None
    colours = np.zeros((256, 3), np.uint8)
    for index, colour in file.colormap(1).items():
        colours[index] = colour[:3]
    return colours


def _pipeline(config: Config) -> list[Mapping[str, Any]]:
    for name in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        dataset = (config.get(name) or {}).get('dataset') or {}
        while 'dataset' in dataset or 'datasets' in dataset or 'target' in dataset:
            inner = dataset.get('dataset') or dataset.get('target') or dataset['datasets'][0]
            dataset = inner
        if dataset.get('pipeline'):
            return list(dataset['pipeline'])
    return []


def _loading_step(config: Config) -> Mapping[str, Any]:
    for step in _pipeline(config):
        kind = str(step.get('type')).rpartition('.')[2]
        if kind.startswith('Load') and 'Annotation' not in kind:
            return step
    return {}
