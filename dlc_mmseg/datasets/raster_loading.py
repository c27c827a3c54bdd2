"""Loading rasters in pipelines, and packing them with the pixels that hold no data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine import fileio
from mmengine.structures import PixelData
from mmseg.datasets.transforms.formatting import PackSegInputs
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from dlc_mmseg.datasets.raster_reading import Raster, RasterReading, fill_nodata, import_rasterio, open_raster
from dlc_mmseg.errors import UserError

NODATA_MAP = 'gt_nodata_map'
"""Key of a pipeline's nodata pixels: shape (H, W), uint8, 0 where there is data, 255 elsewhere (also where padded)."""
_NODATA = 255
_PNG, _PNG_DEPTH, _PNG_COLOUR, _PNG_WITH_ALPHA = b'\x89PNG\r\n\x1a\n', 24, 25, (4, 6)
_HEADER_BYTES = 32


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
        results[NODATA_MAP] = raster.nodata.astype(np.uint8) * _NODATA
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


@TRANSFORMS.register_module()
class PackRasterInputs(PackSegInputs):
    """`PackSegInputs` that hands on which pixels hold no data.

    Labels there become ``ignore_index``; the sample gets a ``nodata_map`` (`PixelData`, shape (1, H, W), bool) if there
    are such pixels.

    Args:
        meta_keys: As in `PackSegInputs`; None takes its own.
        ignore_index: Label of pixels without data.

    Raises:
        ValueError: If ``ignore_index`` is no label.
    """

    def __init__(self, meta_keys: Sequence[str] | None = None, ignore_index: int = 255) -> None:
        options = {} if meta_keys is None else {'meta_keys': tuple(meta_keys)}
        super().__init__(**options)  # type: ignore[no-untyped-call]
        if not isinstance(ignore_index, int) or ignore_index < 0:
            raise ValueError(f'ignore_index is {ignore_index}: give the label of pixels that are ignored, such as 255')
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack.

        Args:
            results: What the pipeline made.

        Returns:
            ``inputs`` (C, H, W) and ``data_samples``.

        Raises:
            UserError: If a step changed the size of the image, but not of its nodata map.
        """
        nodata = results.get(NODATA_MAP)
        if nodata is None or not nodata.any():
            return dict(super().transform(results))
        if nodata.shape[:2] != results['img'].shape[:2]:
            what = f'is {nodata.shape[:2]} where the image is {results["img"].shape[:2]} (height, width)'
            remedy = 'leave out steps that crop or pad images without their seg_fields (CenterCrop, Pad, Albu)'
            raise UserError(results.get('img_path', NODATA_MAP), f'its nodata map {what}', remedy)
        labels = results.get('gt_seg_map')
        if labels is not None:
            there = nodata
            if nodata.shape != labels.shape[:2]:  # test pipelines resize the image, not the labels
                height, width = labels.shape[:2]
                there = cv2.resize(nodata, (width, height), interpolation=cv2.INTER_NEAREST)
            results['gt_seg_map'] = np.where(there > 0, np.asarray(self.ignore_index, labels.dtype), labels)
        packed = dict(super().transform(results))
        packed['data_samples'].set_data({'nodata_map': PixelData(data=torch.from_numpy(nodata > 0)[None])})
        return packed


def check_raster_pipeline(steps: Sequence[Any], name: str) -> None:
    """Refuse pipelines that load rasters, but lose which pixels hold no data.

    Args:
        steps: Transforms of a pipeline, built.
        name: What messages call the pipeline.

    Raises:
        UserError: If `LoadRasterFromFile` is not followed by `PackRasterInputs`, or a step moves pixels of the image
            only.
    """
    if not any(isinstance(step, LoadRasterFromFile) for step in steps):
        return
    for step in steps:
        kind = type(step).__name__
        if isinstance(step, PackSegInputs) and not isinstance(step, PackRasterInputs):
            what = 'loads rasters, and PackSegInputs drops which of their pixels hold no data'
            raise UserError(name, what, "end it with dict(type='PackRasterInputs')")
        if kind in ('CenterCrop', 'Pad', 'Albu'):
            what = f'{kind} treats the image without its nodata map'
            raise UserError(name, what, 'take RandomCrop, RandomFlip, RandomRotate or Resize of MMSegmentation instead')


def picture_kind(start: bytes) -> Literal['', 'plain', 'alpha']:
    """Whether a file is a picture of 8 bits that `LoadRasterFromFile` leaves to OpenCV.

    Args:
        start: The first 32 bytes of the file.

    Returns:
        ``plain``, ``alpha`` for a PNG with a channel of transparency, empty for anything else.
    """
    if start.startswith(_PNG) and len(start) > _PNG_COLOUR:
        if start[_PNG_DEPTH] > 8:
            return ''
        return 'alpha' if start[_PNG_COLOUR] in _PNG_WITH_ALPHA else 'plain'
    webp = start.startswith(b'RIFF') and start[8:12] == b'WEBP'
    return 'plain' if webp or start.startswith((b'\xff\xd8\xff', b'BM')) else ''


def _first_bytes(path: str) -> bytes:
    try:
        with open(path, 'rb') as file:
            return file.read(_HEADER_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(path, f'cannot be read ({reason})', 'correct the path or the right to read it') from error


def _alpha(content: bytes) -> NDArray[Any] | None:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., 3] if image is not None and image.ndim == 3 and image.shape[2] == 4 else None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else repr(value)
