from __future__ import annotations

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image
from rasters import write_raster
from tiny_domains import LABELS, dataset_config, write_domain

from dlc_mmseg.datasets import nodata_labels
from dlc_mmseg.datasets.source_labels import class_count_table, count_source

RASTER, PACK = {'type': 'LoadRasterFromFile'}, {'type': 'PackRasterInputs'}


@pytest.fixture
def source(tmp_path):
    """Tile 0 is class 1 in its upper half, of which two rows hold no data; tile 1 is a picture."""
    write_domain(tmp_path, [{1: 128}, {2: 64}])
    image = np.array(Image.open(tmp_path / 'img/t00.png'))
    image[:2] = 0
    image[2:] = np.maximum(image[2:], 1)
    (tmp_path / 'img/t00.png').unlink()
    write_raster(tmp_path / 'img/t00.tif', image, nodata=0, photometric='RGB')
    (tmp_path / 'img/t01.png').rename(tmp_path / 'img/t01.tif')  # what a file is called does not matter
    return tmp_path


def counts(root, **changes) -> list[list[int]]:
    config = dataset_config(root, img_suffix='.tif', pipeline=[RASTER, LABELS, PACK], **changes)
    return np.asarray(class_count_table(count_source(DATASETS.build(config)), 3)).tolist()


def test_labels_where_there_is_no_data_count_for_no_class(source):
    assert counts(source) == [[128, 128 - 32, 0], [192, 0, 64]]
    sample = DATASETS.build(dataset_config(source, img_suffix='.tif', pipeline=[RASTER, LABELS, PACK]))[0]
    labels = sample['data_samples'].gt_sem_seg.data
    assert [(labels == index).sum().item() for index in range(3)] == counts(source)[0]  # as training sees them


def test_other_loaders_know_no_nodata(source):
    config = dataset_config(source, img_suffix='.tif')
    assert np.asarray(class_count_table(count_source(DATASETS.build(config)), 3)).tolist()[0] == [128, 128, 0]


def test_joined_datasets_may_load_in_different_ways(source, tmp_path):
    write_domain(tmp_path / 'pictures', [{2: 10}])
    rasters = dataset_config(source, img_suffix='.tif', pipeline=[RASTER, LABELS, PACK])
    parts = [dataset_config(tmp_path / 'pictures'), rasters]
    joined = DATASETS.build({'type': 'ConcatDataset', 'datasets': parts})
    found = class_count_table(count_source(joined), 3).tolist()
    assert found == [[246, 0, 10], [128, 128 - 32, 0], [192, 0, 64]]


def test_images_are_read_once_until_they_change(source, monkeypatch):
    seen = []
    original = nodata_labels._hidden_labels

    def counted(info, loader):
        seen.append(info['img_path'])
        return original(info, loader)

    monkeypatch.setattr(nodata_labels, '_hidden_labels', counted)
    first = counts(source)
    assert counts(source) == first
    assert len(seen) == 2
    Image.fromarray(np.ones((16, 16), np.uint8)).save(source / 'lbl/t00.png')
    assert counts(source)[0] == [0, 256 - 32, 0]
    assert len(seen) == 3
