"""ISPRS Potsdam: 38 tiles of 6000 x 6000 pixels, 5 cm, infrared-red-green and red-green-blue."""

from __future__ import annotations

import re

from dlc_mmseg.converters.isprs import IsprsDataset
from dlc_mmseg.converters.raw_files import RawFile

_NAME = re.compile(r'top_potsdam_0?(\d+)_0?(\d+)_(rgb|irrg|label|label_noboundary)\.tiff?', re.IGNORECASE)
_COMPOSITE = re.compile(r'top_potsdam_0?(\d+)_0?(\d+)_rgbir\.tiff?', re.IGNORECASE)
_KINDS = {'label': 'full', 'label_noboundary': 'eroded'}


def recognise(raw: RawFile) -> tuple[str, str] | None:
    """Tile and kind of a file by its name, as in ``top_potsdam_2_10_IRRG.tif``."""
    match = _NAME.fullmatch(raw.name)
    if match is None:
        return None
    kind = match[3].lower()
    return f'{match[1]}_{match[2]}', _KINDS.get(kind, kind)


def recognise_composite(raw: RawFile) -> tuple[str, str] | None:
    """Tile and variant of a file of all four bands, as ``top_potsdam_2_10_RGBIR.tif``."""
    match = _COMPOSITE.fullmatch(raw.name)
    return None if match is None else (f'{match[1]}_{match[2]}', 'rgbir')


POTSDAM = IsprsDataset(
    title='Potsdam',
    splits={  # as in MMSegmentation
        'train': (
            *('2_10', '2_11', '2_12', '3_10', '3_11', '3_12', '4_10', '4_11', '4_12', '5_10', '5_11', '5_12'),
            *('6_10', '6_11', '6_12', '6_7', '6_8', '6_9', '7_10', '7_11', '7_12', '7_7', '7_8', '7_9'),
        ),
        'val': (
            *('5_15', '6_15', '6_13', '3_13', '4_14', '6_14', '5_14', '2_13'),
            *('4_15', '2_14', '5_13', '4_13', '3_14', '7_13'),
        ),
    },
    recognise=recognise,
    images={
        'irrg': 'top_potsdam_{tile}_IRRG.tif (3_Ortho_IRRG.zip)',
        'rgb': 'top_potsdam_{tile}_RGB.tif (2_Ortho_RGB.zip)',
    },
    labels=(
        'top_potsdam_{tile}_label.tif (5_Labels_all.zip) or '
        'top_potsdam_{tile}_label_noBoundary.tif (5_Labels_all_noBoundary.zip)'
    ),
    on_request={'rgbir': 'top_potsdam_{tile}_RGBIR.tif (4_Ortho_RGBIR.zip)'},
    recognise_on_request=recognise_composite,
    made_of={'irrg': 'rgbir', 'rgb': 'rgbir'},
    inexact=frozenset({'4_12', '6_7'}),
)
"""The label of 4_12 is published recompressed (thousands of near-class colours), that of 6_7 has most cars in
(252, 255, 0); matched exactly, the first would be lost whole and the second its cars."""
