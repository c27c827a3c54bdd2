"""How large a pixel is on the ground, as georeferenced images say."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path


def ground_resolution(path: Path) -> float | None:
    """Centimetres per pixel of an image.

    Args:
        path: An image file.

    Returns:
        The mean of both directions; None without rasterio, without a georeference, or where coordinates are degrees.
    """
    if importlib.util.find_spec('rasterio') is None:
        return None
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', NotGeoreferencedWarning)
            image = rasterio.open(path)
        with image:
            if image.crs is None or not image.crs.is_projected or image.transform.is_identity:
                return None
            metres: float = image.crs.linear_units_factor[1]
            return float(round(100 * metres * sum(image.res) / 2, 4))
    except RasterioError:
        return None
