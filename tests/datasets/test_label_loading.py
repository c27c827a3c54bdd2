"""Which steps of a pipeline load labels."""

from __future__ import annotations

import pytest
from mmcv.transforms import LoadAnnotations
from mmseg.datasets.transforms import LoadAnnotations as SegLoadAnnotations
from mmseg.datasets.transforms import LoadBiomedicalAnnotation, PackSegInputs
from mmseg.registry import TRANSFORMS

from dlc_mmseg.datasets.label_loading import loads_labels


@TRANSFORMS.register_module()
class OwnLabels(SegLoadAnnotations):
    """A loader whose name does not say so."""


@pytest.mark.parametrize(
    'step',
    [
        {'type': 'LoadAnnotations'},
        {'type': 'mmseg.LoadAnnotations', 'reduce_zero_label': True},
        {'type': 'LoadBiomedicalAnnotation'},
        {'type': 'OwnLabels'},
        {'type': OwnLabels},
        {'type': SegLoadAnnotations},
        LoadAnnotations(with_seg=True),
        SegLoadAnnotations(),
        OwnLabels(),
        LoadBiomedicalAnnotation(),
    ],
)
def test_these_do(step):
    assert loads_labels(step)


@pytest.mark.parametrize(
    'step',
    [
        {'type': 'LoadImageFromFile'},
        {'type': 'Resize'},
        {'type': 'Unheard'},
        {'type': PackSegInputs},
        {},
        PackSegInputs(),
    ],
)
def test_these_do_not(step):
    assert not loads_labels(step)
