"""Small rasters for tests, written with rasterio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

UTM = 'EPSG:32633'


def write_raster(path: Path, image: np.ndarray, *, mask: np.ndarray | None = None, **profile: Any) -> Path:
    """A GeoTIFF of an image (H, W, C) or (H, W); ``mask`` (H, W), bool, becomes its mask band."""
    rasterio = pytest.importorskip('rasterio')
    image = image if image.ndim == 3 else image[..., None]
    height, width, count = image.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {'driver': 'GTiff', 'height': height, 'width': width, 'count': count, 'dtype': image.dtype, **profile}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, 'w', **options) as file:
        file.write(np.moveaxis(image, -1, 0))
        if mask is not None:
            file.write_mask(mask)
    return path
