"""Rasters of any number of bands and depth, and which of their pixels hold data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dlc_mmseg.errors import UserError

_KEPT_TYPES = ('uint8', 'uint16', 'int16', 'float32')
"""Types that OpenCV resizes and torch holds; all others are delivered as float32."""


class Raster(NamedTuple):
    """Part of a raster, or all of it.

    Attributes:
        image: Shape (H, W, C), the chosen bands in the chosen order.
        nodata: Shape (H, W), bool: True where the pixel holds no data; its values mean nothing and may be NaN.
    """

    image: NDArray[Any]
    nodata: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RasterReading:
    """How rasters are read: which bands, on what scale, and what marks a pixel without data.

    A band that is not finite (NaN) at a pixel makes the pixel nodata in any case.

    Attributes:
        bands: Numbers of the bands in the order wanted, counted from 1 as GDAL counts; None takes all as they lie.
        scale: Factor of stored values, one or one per chosen band; ``file`` takes factors and offsets that the file
            states. Scaled values are float32. None leaves values as stored.
        nodata: ``file`` takes the nodata value of each band, the file's mask, or its alpha band where that is not
            among the chosen ones; a number or one per chosen band replaces the file's; None: no value means nodata.
        nodata_in: Whether a pixel is nodata once ``any`` of the chosen bands holds the nodata value, or only where
            ``all`` do. ``auto``: ``all`` for 8-bit rasters and for the value 0, which are values that single bands of
            good pixels take as well, else ``any``.

    Raises:
        ValueError: If an attribute is out of its range.
    """

    bands: Sequence[int] | None = None
    scale: float | Sequence[float] | Literal['file'] | None = None
    nodata: float | Sequence[float] | Literal['file'] | None = 'file'
    nodata_in: Literal['auto', 'any', 'all'] = 'auto'

    def __post_init__(self) -> None:
        if self.bands is not None:
            wrong = [band for band in self.bands if not isinstance(band, int) or band < 1]
            if wrong or not len(self.bands):
                raise UserError(None, f'bands is {self.bands}', 'give the numbers of bands, the first being 1')
        for name, value in (('scale', self.scale), ('nodata', self.nodata)):
            if isinstance(value, str):
                if value != 'file':
                    raise UserError(None, f'{name} is {value!r}', "give a number, one per band, 'file' or None")
            elif isinstance(value, Sequence) and self.bands is not None and len(value) != len(self.bands):
                what = f'{name} has {len(value)} values for {len(self.bands)} bands'
                raise UserError(None, what, 'give one per band')
        if self.nodata_in not in ('auto', 'any', 'all'):
            raise UserError(None, f'nodata_in is {self.nodata_in!r}', "choose 'auto', 'any' or 'all'")

    def read(self, file: Any, window: Any = None) -> Raster:
        """Read an open raster.

        Args:
            file: Dataset opened with `files.rasters.open_raster`.
            window: Window of rasterio; None reads all.

        Returns:
            The bands, and where there is no data.

        Raises:
            UserError: If the file lacks a band, or its values are of a kind that is no measurement (complex).
        """
        indices = self.band_numbers(file)
        stored = file.read(indices, window=window)
        if stored.dtype.kind not in 'biuf':
            raise UserError(file.name, f'holds {stored.dtype} values', 'convert them to real numbers')
        nodata = self._nodata(file, indices, stored, window)
        return Raster(np.moveaxis(self._scaled(file, indices, stored), 0, -1), nodata)

    def band_numbers(self, file: Any) -> list[int]:
        """Numbers of the bands that are read from a file.

        Args:
            file: Dataset opened with `files.rasters.open_raster`.

        Raises:
            UserError: If the file lacks one of them.
        """
        numbers = list(file.indexes if self.bands is None else self.bands)
        if max(numbers) > file.count:
            raise UserError(file.name, f'has {file.count} bands, band {max(numbers)} is asked for', 'correct bands')
        return numbers

    def marked(self, image: NDArray[Any]) -> NDArray[np.bool_]:
        """Pixels of an image whose values mark them as nodata, where the image's file says nothing itself.

        Args:
            image: Shape (H, W, C), as stored, in the order of ``bands``.

        Returns:
            Shape (H, W), bool.
        """
        values = [None] * image.shape[2] if self.nodata == 'file' else self._values(image.shape[2])
        return self._holding(np.moveaxis(image, -1, 0), values)

    def _values(self, number: int) -> list[float | None]:
        if isinstance(self.nodata, Sequence):
            values: list[float | None] = [float(value) for value in self.nodata]
            if len(values) != number:
                raise UserError('nodata', f'has {len(values)} values for {number} bands', 'give one per band, or one')
            return values
        return [None if self.nodata is None else float(self.nodata)] * number

    def _nodata(self, file: Any, indices: list[int], stored: NDArray[Any], window: Any) -> NDArray[np.bool_]:
        if self.nodata != 'file':
            return self._holding(stored, self._values(len(indices)))
        nodata = self._holding(stored, [file.nodatavals[index - 1] for index in indices])
        from rasterio.enums import ColorInterp, MaskFlags

        flags = file.mask_flag_enums[indices[0] - 1]
        chosen_alpha = any(file.colorinterp[index - 1] == ColorInterp.alpha for index in indices)
        if MaskFlags.per_dataset in flags and not (MaskFlags.alpha in flags and chosen_alpha):
            nodata |= file.read_masks(indices[0], window=window) == 0
        return nodata

    def _holding(self, stored: NDArray[Any], values: Sequence[float | None]) -> NDArray[np.bool_]:
        """Pixels of bands (C, H, W) that hold the bands' nodata values, or are not finite."""
        nodata: NDArray[np.bool_] = np.zeros(stored.shape[1:], np.bool_)
        if stored.dtype.kind == 'f':
            nodata |= ~np.isfinite(stored).all(0)
        known = [(band, value) for band, value in zip(stored, values, strict=True) if value is not None]
        if known:
            held = [_equals(band, value) for band, value in known]
            every = self.nodata_in == 'all' or (
                self.nodata_in == 'auto' and (stored.dtype.itemsize == 1 or all(value == 0 for _, value in known))
            )
            nodata |= np.logical_and.reduce(held) if every else np.logical_or.reduce(held)
        return nodata

    def _scaled(self, file: Any, indices: list[int], stored: NDArray[Any]) -> NDArray[Any]:
        factors, offsets = self._factors(file, indices)
        if factors is None:
            return stored if stored.dtype.name in _KEPT_TYPES else stored.astype(np.float32)
        scaled: NDArray[np.float32] = stored.astype(np.float32) * factors + offsets
        return scaled

    def _factors(self, file: Any, indices: list[int]) -> tuple[NDArray[Any] | None, NDArray[Any]]:
        offsets: NDArray[Any] = np.zeros(len(indices))
        if self.scale is None:
            return None, offsets
        if isinstance(self.scale, str):
            factors = np.array([file.scales[index - 1] for index in indices])
            offsets = np.array([file.offsets[index - 1] for index in indices])
            if (factors == 1).all() and (offsets == 0).all():
                return None, offsets
        else:
            factors = np.ravel(self.scale)
            if factors.size not in (1, len(indices)):
                what = f'has {factors.size} values, {len(indices)} bands are read'
                raise UserError('scale', what, 'give one per band, or one for all')
        return factors.astype(np.float32)[:, None, None], offsets.astype(np.float32)[:, None, None]


def fill_nodata(raster: Raster) -> NDArray[Any]:
    """The image with the mean of each band's data in place of pixels without data, so that none stands out.

    Args:
        raster: Image and nodata pixels.

    Returns:
        Shape (H, W, C); the image itself if every pixel holds data, zeros if none does.
    """
    image, nodata = raster
    if not nodata.any():
        return image
    valid = image[~nodata]
    mean = valid.mean(0, dtype=np.float64) if len(valid) else np.zeros(image.shape[2])
    filled: NDArray[Any] = image.copy()
    filled[nodata] = mean.astype(image.dtype)
    return filled


def _equals(band: NDArray[Any], value: float) -> NDArray[np.bool_]:
    """Where a band holds a value, which is rounded to the band's type as the file's own pixels were."""
    equal: NDArray[np.bool_] = np.zeros(band.shape, np.bool_)
    if band.dtype.kind == 'f':
        np.equal(band, band.dtype.type(value), out=equal)
    elif band.dtype.kind in 'iu' and np.isfinite(value) and value == int(value):
        limits = np.iinfo(band.dtype)
        if limits.min <= value <= limits.max:
            np.equal(band, int(value), out=equal)
    return equal
