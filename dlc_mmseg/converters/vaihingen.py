"""ISPRS Vaihingen: 33 labelled tiles of about 2500 x 1900 pixels, 9 cm, infrared-red-green."""

from __future__ import annotations

import re

from dlc_mmseg.converters.isprs import IsprsDataset
from dlc_mmseg.converters.raw_files import RawFile

_NAME = re.compile(r'top_mosaic_09cm_(area\d+)(_noboundary)?\.tiff?', re.IGNORECASE)
_IMAGE_FOLDERS = ('top', 'tops', 'image', 'images', 'img', 'imgs')


def recognise(raw: RawFile) -> tuple[str, str] | None:
    """Tile and kind of a file by its name and, as images and full labels share names, the images' folder."""
    match = _NAME.fullmatch(raw.name)
    if match is None:
        return None
    if match[2]:
        return match[1].lower(), 'eroded'
    return match[1].lower(), 'irrg' if raw.folder.lower() in _IMAGE_FOLDERS else 'full'


VAIHINGEN = IsprsDataset(
    title='Vaihingen',
    splits={  # as in MMSegmentation; area9 has an eroded label but no image
        'train': (
            *('area1', 'area11', 'area13', 'area15', 'area17', 'area21', 'area23', 'area26'),
            *('area28', 'area3', 'area30', 'area32', 'area34', 'area37', 'area5', 'area7'),
        ),
        'val': (
            *('area6', 'area24', 'area35', 'area16', 'area14', 'area22', 'area10', 'area4', 'area2'),
            *('area20', 'area8', 'area31', 'area33', 'area27', 'area38', 'area12', 'area29'),
        ),
    },
    recognise=recognise,
    images={'irrg': 'top/top_mosaic_09cm_{tile}.tif (ISPRS_semantic_labeling_Vaihingen.zip)'},
    labels=(
        'top_mosaic_09cm_{tile}.tif outside the folder top '
        '(ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE.zip) or top_mosaic_09cm_{tile}_noBoundary.tif '
        '(ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE.zip)'
    ),
)
