"""The two towns of the demo data and the cameras above them: the domain gap in figures."""

from __future__ import annotations

from dlc_mmseg.converters.demo.layout import StreetStyle
from dlc_mmseg.converters.demo.sensor import Sensor
from dlc_mmseg.converters.demo.town import TownStyle

POTSDAM_TOWN = TownStyle(
    streets=StreetStyle(block=(62.0, 95.0), main_width=14.5, side_width=9.5, pavement=2.2, bend=2.0),
    blocks={'houses': 0.40, 'slabs': 0.30, 'halls': 0.15, 'park': 0.10, 'site': 0.05},
    frontage=(17.0, 24.0),
    trees=2.2,
    crown=(1.8, 5.6),
    parked=0.45,
    red_roofs=0.45,
    storeys=(2, 4),
    yards=0.38,
    garden_clutter=0.35,
    least_clutter=0.035,
    least_cars=0.016,
)

VAIHINGEN_TOWN = TownStyle(
    streets=StreetStyle(block=(44.0, 70.0), main_width=10.5, side_width=7.0, pavement=1.4, bend=7.0),
    blocks={'old_town': 0.46, 'houses': 0.30, 'slabs': 0.05, 'halls': 0.04, 'park': 0.12, 'site': 0.03},
    frontage=(13.0, 19.0),
    trees=6.5,
    crown=(1.7, 5.0),
    parked=0.34,
    red_roofs=0.68,
    storeys=(2, 3),
    yards=0.10,
    garden_clutter=0.15,
    least_clutter=0.018,
    least_cars=0.009,
)

POTSDAM_CAMERA = Sensor(
    azimuth=150.0,
    elevation=50.0,
    sun=(1.00, 1.00, 0.97, 0.90),
    sky=(0.22, 0.26, 0.31, 0.38),
    haze=(0.010, 0.014, 0.018, 0.026),
    mixing=((0.90, 0.10, 0.00, 0.00), (0.04, 0.92, 0.04, 0.00), (0.00, 0.06, 0.90, 0.04), (0.00, 0.00, 0.08, 0.92)),
    gain=(0.95, 1.20, 1.22, 1.25),
    gamma=1.55,
    blur=0.45,
    sharpen=0.35,
    noise=2.0,
)

VAIHINGEN_CAMERA = Sensor(
    azimuth=235.0,
    elevation=40.0,
    sun=(1.04, 0.98, 0.92, 0.82),
    sky=(0.18, 0.22, 0.27, 0.36),
    haze=(0.014, 0.020, 0.027, 0.040),
    mixing=((1.00, 0.00, 0.00, 0.00), (0.05, 0.91, 0.04, 0.00), (0.03, 0.10, 0.85, 0.02), (0.00, 0.02, 0.10, 0.88)),
    gain=(1.20, 1.17, 1.11, 1.10),
    gamma=1.42,
    blur=0.6,
    sharpen=0.0,
    noise=3.5,
)
