"""Loading rasters in pipelines."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine import fileio
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray
from PIL import Image

from dlc_mmseg.datasets.raster_reading import Raster, RasterReading, fill_nodata
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.rasters import import_rasterio, open_raster

NODATA_MAP, NODATA = 'gt_nodata_map', 255
"""Key of a pipeline's nodata pixels: shape (H, W), uint8, 0 where there is data, 255 elsewhere (also where padded)."""
_PNG, _PNG_DEPTH, _PNG_COLOUR, _PNG_WITH_ALPHA = b'\x89PNG\r\n\x1a\n', 24, 25, (4, 6)
_HEADER_BYTES = 4096  # a palette and a colour profile may come before what says that a colour is transparent


@TRANSFORMS.register_module()
class LoadRasterFromFile(BaseTransform):
    """Loads GeoTIFFs and whatever GDAL reads as they are stored: all bands, full depth, nodata known.

    PNG of 8 bits, JPEG, BMP and WebP come out exactly as `LoadImageFromFile` gives them (palettes resolved, turned as
    EXIF says, without alpha), and need no rasterio; pixels of a PNG that are wholly transparent are nodata.

    **Order of channels.** An image of three bands is delivered in reverse, as OpenCV delivers colours (BGR), whatever
    its file: ``bgr_to_rgb=True`` of the data preprocessor turns it back, so that ``mean`` and ``std`` are in the order
    of ``bands``. Any other number of bands is delivered in the order of ``bands``.

    Pixels without data hold the mean of their band's data, and are marked in ``results['gt_nodata_map']``, which
    MMSegmentation's crops, flips, resizes and rotations treat as they treat labels. End the pipeline with
    `PackRasterInputs`, which hands it on; `PackSegInputs` would drop it.

    Needs the extra ``raster`` (rasterio) for files other than pictures.

    Args:
        bands: Numbers of the bands in the order wanted, counted from 1; None takes all as they lie. With pictures 1, 2,
            3 are red, green, blue, and 4 is alpha.
        scale: Factor of stored values, one or one per chosen band, or ``file`` for the factors and offsets that the
            file states; the image is then float32. None leaves values as stored: uint8, uint16, int16 or float32,
            other types become float32.
        nodata: ``file`` (nodata values, mask, or an alpha band that is not among the chosen ones), a number or one per
            chosen band instead of the file's, or None. What is not finite is nodata in any case.
        nodata_in: ``any`` or ``all`` bands must hold the nodata value; ``auto``: all for 8-bit rasters and the value 0,
            else any.
        backend_args: MMEngine's arguments of the storage that paths like ``s3://`` name.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        bands: Sequence[int] | None = None,
        scale: float | Sequence[float] | Literal['file'] | None = None,
        nodata: float | Sequence[float] | Literal['file'] | None = 'file',
        nodata_in: Literal['auto', 'any', 'all'] = 'auto',
        backend_args: dict[str, Any] | None = None,
    ) -> None:
        self.reading = RasterReading(bands=bands, scale=scale, nodata=nodata, nodata_in=nodata_in)
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load ``results['img_path']``.

        Args:
            results: Entry of a dataset.

        Returns:
            The same with ``img`` (H, W, C), ``img_shape``, ``ori_shape``, and ``gt_nodata_map`` among its
            ``seg_fields``.

        Raises:
            UserError: If the file cannot be read, lacks a band, or needs rasterio, which is not installed.
        """
        path = str(results['img_path'])
        raster = self.load(path)
        results['img'] = np.ascontiguousarray(fill_nodata(raster))
        results['img_shape'] = results['ori_shape'] = raster.image.shape[:2]
        results[NODATA_MAP] = raster.nodata.astype(np.uint8) * NODATA
        fields = results.setdefault('seg_fields', [])
        if NODATA_MAP not in fields:
            fields.append(NODATA_MAP)
        return results

    def load(self, path: str) -> Raster:
        """Read a file.

        Args:
            path: Local, or of a storage that MMEngine knows.

        Returns:
            The image as the network gets it (three bands in reverse), and the pixels without data.

        Raises:
            UserError: As `transform`.
        """
        remote = '://' in path
        content = fileio.get(path, self.backend_args) if remote else b''
        kind = picture_kind(content[:_HEADER_BYTES] if remote else _first_bytes(path))
        if kind and max(self.reading.bands or [0]) <= 3:
            return self._picture(path, content, with_alpha=kind == 'alpha')
        if remote:
            import_rasterio(path)
            from rasterio.io import MemoryFile

            memory = MemoryFile(content, ext=Path(path).suffix)  # type: ignore[no-untyped-call]
            with memory, open_raster(memory.name) as file:
                raster = self.reading.read(file)
        else:
            with open_raster(path) as file:
                raster = self.reading.read(file)
        image = raster.image[..., ::-1] if raster.image.shape[2] == 3 else raster.image
        return Raster(image, raster.nodata)

    def may_lack_data(self, path: str) -> bool:
        """Whether a file can hold pixels without data, by its kind: most pictures cannot, and need not be read for it.

        Args:
            path: The file.
        """
        kind = '' if '://' in path else picture_kind(_first_bytes(path))
        return kind != 'plain' or self.reading.nodata not in ('file', None)

    def _picture(self, path: str, content: bytes, *, with_alpha: bool) -> Raster:
        reading = self.reading
        try:
            loaded: Any = LoadImageFromFile(backend_args=self.backend_args)({'img_path': path})
            alpha = _alpha(content or Path(path).read_bytes()) if with_alpha and reading.nodata == 'file' else None
        except Exception as error:
            reason = ' '.join(str(error).split())
            raise UserError(path, f'cannot be read as a picture ({reason})', 'restore the file') from error
        image: NDArray[Any] = loaded['img']
        if reading.bands is not None:
            image = image[..., [3 - band for band in reading.bands]]
            image = image[..., ::-1] if image.shape[2] == 3 else image
        reverse = image.shape[2] == 3
        nodata = reading.marked(image[..., ::-1] if reverse else image)
        if alpha is not None and alpha.shape == nodata.shape:
            nodata |= alpha == 0
        if reading.scale is not None and reading.scale != 'file':
            factors = np.ravel(reading.scale).astype(np.float32)
            image = image.astype(np.float32) * (factors[::-1] if reverse else factors)
        return Raster(image, nodata)

    def __repr__(self) -> str:
        settings = self.reading
        return (
            f'{type(self).__name__}(bands={_plain(settings.bands)}, scale={_plain(settings.scale)}, '
            f'nodata={_plain(settings.nodata)}, nodata_in={settings.nodata_in!r})'
        )


def picture_kind(start: bytes) -> Literal['', 'plain', 'alpha']:
    """Whether a file is a picture of 8 bits that `LoadRasterFromFile` leaves to OpenCV.

    Args:
        start: The first 32 bytes of the file, or more: a colour or palette entry that is transparent is only seen where
            its chunk ``tRNS`` lies within them.

    Returns:
        ``plain``, ``alpha`` for a PNG with transparency, empty for anything else.
    """
    if start.startswith(_PNG) and len(start) > _PNG_COLOUR:
        if start[_PNG_DEPTH] > 8:
            return ''
        transparent = start[_PNG_COLOUR] in _PNG_WITH_ALPHA or b'tRNS' in start.partition(b'IDAT')[0]
        return 'alpha' if transparent else 'plain'
    webp = start.startswith(b'RIFF') and start[8:12] == b'WEBP'
    return 'plain' if webp or start.startswith((b'\xff\xd8\xff', b'BM')) else ''


def _first_bytes(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(path, f'cannot be read ({reason})', 'correct the path or the right to read it') from error


def _alpha(content: bytes) -> NDArray[np.uint8]:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is not None and pixels.ndim == 3 and pixels.shape[2] == 4:
        return pixels[..., 3].astype(np.uint8, copy=False)
    with Image.open(io.BytesIO(content)) as image:  # OpenCV passes over a transparent shade of grey
        return np.asarray(image.convert('RGBA').getchannel('A'))


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else repr(value)
