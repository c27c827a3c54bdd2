from __future__ import annotations

from pathlib import Path

import numpy as np
from mmseg.registry import DATASETS
from PIL import Image


def test_seven_classes_by_default_and_eight_on_request(tmp_path: Path) -> None:
    for folder in ('img_dir', 'ann_dir'):
        (tmp_path / folder).mkdir()
        Image.fromarray(np.arange(8, dtype=np.uint8).reshape(2, 4)).save(tmp_path / folder / 't.png')
    arguments = {
        'data_root': str(tmp_path),
        'data_prefix': {'img_path': 'img_dir', 'seg_map_path': 'ann_dir'},
        'pipeline': [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}, {'type': 'PackSegInputs'}],
    }
    seven = DATASETS.build({'type': 'WHUOptSarDataset', **arguments})
    eight = DATASETS.build({'type': 'WHUOptSar8Dataset', **arguments})
    assert seven.metainfo['classes'] == ('background', 'farmland', 'city', 'village', 'water', 'forest', 'road')
    assert eight.metainfo['classes'] == (*seven.metainfo['classes'], 'others')
    for dataset, number in ((seven, 7), (eight, 8)):
        assert len(dataset.metainfo['palette']) == len({tuple(c) for c in dataset.metainfo['palette']}) == number
        assert dataset[0]['data_samples'].gt_sem_seg.data.flatten().tolist() == list(range(8))
        assert dataset.label_map is None
