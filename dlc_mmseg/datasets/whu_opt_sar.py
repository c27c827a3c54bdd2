"""WHU-OPT-SAR: land use from optical or radar images (Li et al., MCANet, JAG 106, 2022)."""

from __future__ import annotations

from typing import Any

from mmseg.datasets.basesegdataset import BaseSegDataset
from mmseg.registry import DATASETS

_CLASSES = ('background', 'farmland', 'city', 'village', 'water', 'forest', 'road', 'others')
_PALETTE = (
    (0, 0, 0),
    (204, 102, 0),
    (255, 0, 0),
    (255, 255, 0),
    (0, 0, 255),
    (85, 167, 0),
    (0, 255, 255),
    (153, 102, 153),
)


@DATASETS.register_module()
class WHUOptSarDataset(BaseSegDataset):
    """WHU-OPT-SAR tiles with seven classes; ``others`` is part of ``background``, as in the original release of DLC.

    Labels are class indices 0..6 (the raw codes 0, 10, .., 60 divided by ten, 70 becoming 0). Optical and radar tiles
    share the labels: a domain is chosen by its folders.

    Args:
        img_suffix: Ending of images.
        seg_map_suffix: Ending of label images.
        reduce_zero_label: Whether label 0, the background, is ignored.
        **kwargs: Further arguments of `mmseg.datasets.BaseSegDataset`.
    """

    METAINFO = {'classes': _CLASSES[:7], 'palette': [list(colour) for colour in _PALETTE[:7]]}

    def __init__(
        self,
        img_suffix: str = '.png',
        seg_map_suffix: str = '.png',
        reduce_zero_label: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, reduce_zero_label=reduce_zero_label, **kwargs
        )


@DATASETS.register_module()
class WHUOptSar8Dataset(WHUOptSarDataset):
    """WHU-OPT-SAR tiles whose labels keep ``others`` as an eighth class, 7."""

    METAINFO = {'classes': _CLASSES, 'palette': [list(colour) for colour in _PALETTE]}
