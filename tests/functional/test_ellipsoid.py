from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from dlc_mmseg.functional.ellipsoid import ECCENTRICITY_SQUARED, SEMI_MAJOR_AXIS, equal_area_ordinate


def test_the_whole_ellipsoid_has_its_published_area():
    south, north = equal_area_ordinate(np.radians(np.array([-90.0, 90.0])))
    assert 2 * np.pi * SEMI_MAJOR_AXIS * (north - south) == pytest.approx(510_065_621.724e6, rel=1e-9)


def test_zones_equal_the_integral_over_meridian_and_parallel_radii():
    """Area of a zone: the radius of curvature in the meridian times that of the parallel, integrated numerically."""
    edges = np.radians(np.linspace(-80, 80, 9))
    for low, high in pairwise(edges):
        nodes, weights = np.polynomial.legendre.leggauss(20)
        latitude = (high - low) / 2 * nodes + (high + low) / 2
        root = 1 - ECCENTRICITY_SQUARED * np.sin(latitude) ** 2
        meridian = SEMI_MAJOR_AXIS * (1 - ECCENTRICITY_SQUARED) / root**1.5
        parallel = SEMI_MAJOR_AXIS * np.cos(latitude) / root**0.5
        integral = (high - low) / 2 * np.sum(weights * meridian * parallel)
        ordinates = equal_area_ordinate(np.array([low, high]))
        assert SEMI_MAJOR_AXIS * (ordinates[1] - ordinates[0]) == pytest.approx(integral, rel=1e-10)
