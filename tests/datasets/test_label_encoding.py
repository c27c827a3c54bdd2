from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from dlc_mmseg.datasets.class_statistics import count_tile
from dlc_mmseg.datasets.label_encoding import check_label_values, class_counts, zero_based_label_hint
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.statistics_file import TileStatistics


def _tile(counts: dict[int, int], reduced: bool) -> tuple[dict[str, Any], TileStatistics]:
    info = {'seg_map_path': '/d/t.png', 'reduce_zero_label': reduced, 'label_map': None}
    return info, TileStatistics((1, sum(counts.values())), counts)


@pytest.mark.filterwarnings('ignore:`reduce_zero_label`')
@pytest.mark.parametrize('reduced', [False, True])
@pytest.mark.parametrize('label_map', [None, {0: 1, 1: 255, 2: 0}])
def test_classes_are_those_that_mmseg_loads(tmp_path: Path, reduced: bool, label_map: dict[int, int] | None) -> None:
    path = tmp_path / 't.png'
    Image.fromarray(np.arange(256, dtype=np.uint8).repeat(3).reshape(24, 32)).save(path)
    info = {'seg_map_path': str(path), 'reduce_zero_label': reduced, 'label_map': label_map, 'seg_fields': []}
    loaded = LoadAnnotations()(dict(info))['gt_seg_map']
    assert class_counts(count_tile(path), info, 5) == [int((loaded == label).sum()) for label in range(5)]


@pytest.mark.parametrize(
    ('counts', 'reduced', 'remedy'),
    [
        ({0: 5, 3: 1}, False, 'reduce_zero_label=True'),
        ({0: 5, 9: 1}, False, 'metainfo.classes'),
        ({0: 5, 4: 1}, True, 'metainfo.classes'),
        ({0: 5, 256: 1}, False, 'metainfo.classes'),
    ],
)
def test_strange_values_are_refused_by_file_and_value(counts: dict[int, int], reduced: bool, remedy: str) -> None:
    with pytest.raises(UserError, match=rf'/d/t\.png.*\[{max(counts)}\].*{remedy}'):
        check_label_values([_tile({0: 1}, reduced), _tile(counts, reduced)], 3)


def test_classes_and_ignored_values_pass() -> None:
    check_label_values([_tile({0: 1, 1: 1, 2: 1, 255: 1}, False), _tile({0: 1, 3: 1, 255: 1}, True)], 3)
    check_label_values([_tile({0: 1, 9: 1}, False)], 3, ignore_index=9)


def test_zero_based_labels_are_noticed() -> None:
    release = [_tile({0: 40, 1: 30, 2: 30}, True), _tile({0: 20, 5: 80}, True)]
    hint = zero_based_label_hint(release, 6)
    assert hint is not None
    assert hint.where == '/d/t.png'
    assert 'reduce_zero_label=False' in hint.remedy


@pytest.mark.parametrize(
    'tiles',
    [
        [_tile({0: 40, 1: 30, 6: 30}, True)],
        [_tile({0: 5, 1: 45, 5: 50}, True)],
        [_tile({0: 40, 1: 30, 2: 30}, False)],
        [],
    ],
)
def test_usual_labels_are_not_suspected(tiles: list[Any]) -> None:
    assert zero_based_label_hint(tiles, 6) is None
