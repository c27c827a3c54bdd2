"""Areas on the WGS 84 ellipsoid, exact along meridians and parallels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEMI_MAJOR_AXIS = 6378137.0
"""Of WGS 84, in metres."""
ECCENTRICITY_SQUARED = 6.69437999014e-3


def equal_area_ordinate(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ordinate of the cylindrical equal-area projection of the ellipsoid.

    With the abscissa ``SEMI_MAJOR_AXIS * longitude`` (radians), planar areas equal those on the ellipsoid, for any
    shape; meridians and parallels become straight lines.

    Source: Snyder, Map Projections: A Working Manual, USGS Professional Paper 1395, 1987, equation 3-12 and p. 81.

    Args:
        latitude: Geodetic latitude in radians, any shape.

    Returns:
        Ordinate in metres, the same shape; 0 on the equator.
    """
    eccentricity = np.sqrt(ECCENTRICITY_SQUARED)
    sine = np.sin(latitude)
    series = sine / (1 - ECCENTRICITY_SQUARED * sine**2)
    logarithm = np.log((1 - eccentricity * sine) / (1 + eccentricity * sine)) / (2 * eccentricity)
    ordinate: NDArray[np.float64] = SEMI_MAJOR_AXIS / 2 * (1 - ECCENTRICITY_SQUARED) * (series - logarithm)
    return ordinate
