"""Opening rasters with rasterio, which is an extra."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dlc_mmseg.errors import UserError


@contextmanager
def open_raster(path: str) -> Iterator[Any]:
    """Open a raster of any format that GDAL reads.

    Args:
        path: File, or what GDAL takes for one.

    Yields:
        Dataset of rasterio.

    Raises:
        UserError: If rasterio is not installed, or the file cannot be read.
    """
    rasterio = import_rasterio(path)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', rasterio.errors.NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as file:
                yield file
        except rasterio.errors.RasterioError as error:
            reason = ' '.join(str(error).split())
            raise UserError(path, f'cannot be read as a raster ({reason})', 'restore or convert the file') from error


def import_rasterio(where: object) -> Any:
    """The package rasterio, which is an extra, with its modules.

    Args:
        where: What needs it: the file.

    Raises:
        UserError: If it is not installed.
    """
    try:
        import rasterio
        import rasterio.enums
        import rasterio.errors
        import rasterio.features
        import rasterio.io
        import rasterio.transform
        import rasterio.warp
        import rasterio.windows
    except ImportError as error:
        what = 'needs the package rasterio, which is not installed'
        raise UserError(where, what, 'pip install "dlc-mmseg[raster]"') from error
    return rasterio
