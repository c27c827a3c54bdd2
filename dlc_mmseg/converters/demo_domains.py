"""The two towns of the demo data and the cameras above them: the domain gap in figures."""

from __future__ import annotations

from dlc_mmseg.converters.demo_blocks import TownStyle
from dlc_mmseg.converters.demo_layout import StreetStyle
from dlc_mmseg.converters.demo_sensor import Sensor

POTSDAM_TOWN = TownStyle(
    streets=StreetStyle(block=(62.0, 95.0), main_width=17.0, side_width=11.0, pavement=2.4, bend=2.0),
    blocks={'houses': 0.36, 'slabs': 0.24, 'halls': 0.16, 'park': 0.14, 'site': 0.10},
    frontage=(17.0, 24.0), trees=0.40, crown=(1.6, 4.6), parked=0.55, red_roofs=0.45, storeys=(2, 4),
    garden_clutter=0.35, least_clutter=0.035, least_cars=0.016)

VAIHINGEN_TOWN = TownStyle(
    streets=StreetStyle(block=(44.0, 70.0), main_width=12.0, side_width=7.5, pavement=1.5, bend=7.0),
    blocks={'old_town': 0.46, 'houses': 0.30, 'slabs': 0.05, 'halls': 0.04, 'park': 0.12, 'site': 0.03},
    frontage=(13.0, 19.0), trees=1.0, crown=(1.5, 4.2), parked=0.36, red_roofs=0.68, storeys=(2, 3),
    garden_clutter=0.22, least_clutter=0.018, least_cars=0.009)

POTSDAM_CAMERA = Sensor(
    azimuth=150.0, elevation=50.0,
    sun=(1.00, 1.00, 0.97, 0.90), sky=(0.22, 0.26, 0.31, 0.38),
    haze=(0.010, 0.014, 0.018, 0.026),
    mixing=((0.90, 0.10, 0.00, 0.00), (0.04, 0.92, 0.04, 0.00), (0.00, 0.06, 0.90, 0.04), (0.00, 0.00, 0.08, 0.92)),
    gain=(0.72, 0.90, 0.92, 0.95), gamma=1.55, blur=0.45, sharpen=0.35, noise=2.0)

VAIHINGEN_CAMERA = Sensor(
    azimuth=232.0, elevation=38.0,
    sun=(1.08, 0.98, 0.88, 0.76), sky=(0.14, 0.18, 0.23, 0.32),
    haze=(0.016, 0.024, 0.034, 0.050),
    mixing=((1.00, 0.00, 0.00, 0.00), (0.10, 0.86, 0.04, 0.00), (0.05, 0.10, 0.83, 0.02), (0.00, 0.02, 0.10, 0.88)),
    gain=(1.10, 0.82, 0.80, 0.80), gamma=1.35, blur=0.75, sharpen=0.0, noise=4.0)
