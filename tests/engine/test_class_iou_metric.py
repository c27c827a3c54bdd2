"""Figures of every class, one mean F1 wherever it stands, and maps that say where they are."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from mmseg.evaluation.metrics import iou_metric
from mmseg.registry import METRICS
from tiny_domains import CLASSES

from dlc_mmseg.engine import class_iou_metric
from dlc_mmseg.engine.class_iou_metric import ClassIoUMetric
from dlc_mmseg.errors import UserError

NEVER = torch.tensor([[0, 0, 0, 1]]), torch.tensor([[0, 0, 2, 2]])  # labels, prediction: class 1 is never predicted


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(class_iou_metric, 'print_log', lambda text, logger, level=logging.INFO: lines.append(text))
    return lines


def metric(**arguments):
    built = METRICS.build({'type': 'ClassIoUMetric', 'iou_metrics': ['mIoU', 'mFscore'], 'prefix': None, **arguments})
    built.dataset_meta = {'classes': CLASSES}
    return built


def figures(labels, predicted, **arguments):
    ours = metric(**arguments)
    ours.results = [ours.intersect_and_union(predicted, labels, 3, 255)]
    return ours.compute_metrics(ours.results)


def test_per_class_figures():
    found = figures(*NEVER)
    assert found['IoU.ground'] == pytest.approx(100 * 2 / 3)
    assert found['IoU.roof'] == 0.0
    assert found['IoU.car'] == 0.0
    assert found['mIoU'] == pytest.approx(np.round(100 * 2 / 9, 2))


def test_a_class_that_is_never_predicted_counts_0_everywhere(monkeypatch):
    printed = []
    monkeypatch.setattr(iou_metric, 'print_log', lambda text, logger: printed.append(text))
    found = figures(*NEVER)
    assert found['mFscore'] == pytest.approx(80 / 3, abs=0.01)  # 2 * 2 / (2 + 3) for ground, 0 for the two others
    roof = next(line for line in printed[-1].splitlines() if ' roof ' in line)
    assert [cell.strip() for cell in roof.split('|')][2:5] == ['0.0', '0.0', '0.0']  # IoU, recall, F score


@pytest.mark.parametrize('beta', [1, 2])
def test_where_every_class_is_predicted_right_somewhere_it_is_mmsegmentations(beta):
    generator = torch.Generator().manual_seed(0)
    labels, predicted = torch.randint(0, 3, (2, 40, 40), generator=generator)
    areas = IoUMetric.intersect_and_union(predicted, labels, 3, 255)
    theirs = IoUMetric.total_area_to_metrics(*areas, ['mIoU', 'mDice', 'mFscore'], None, beta)
    ours = ClassIoUMetric.total_area_to_metrics(*areas, ['mIoU', 'mDice', 'mFscore'], None, beta)
    assert ours.keys() == theirs.keys()
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6, err_msg=name)


def test_a_class_that_is_neither_there_nor_predicted_is_left_out():
    labels, predicted = torch.tensor([[0, 0, 1]]), torch.tensor([[0, 1, 1]])
    assert figures(labels, predicted)['mFscore'] == pytest.approx(100 * 2 / 3, abs=0.01)
    assert np.isnan(figures(labels, predicted)['IoU.car'])
    assert figures(labels, predicted, nan_to_num=0)['mFscore'] == pytest.approx(100 * 4 / 9, abs=0.01)


def sample(name='tile.tif', *, labelled):
    entry = {'pred_sem_seg': {'data': NEVER[1]}, 'img_path': name}
    return {**entry, **({'gt_sem_seg': {'data': NEVER[0]}} if labelled else {})}


def test_maps_without_labels_end_in_one_line_that_says_where_they_are(tmp_path, logged, recwarn):
    ours = metric(format_only=True, output_dir=str(tmp_path / 'maps'))
    ours.process({}, [sample('a.tif', labelled=False), sample('b.tif', labelled=False)])
    assert ours.evaluate(2) == {}
    assert logged == [f'Maps of 2 images: {tmp_path / "maps"} (PNG, one class index per pixel)']
    assert sorted(path.name for path in (tmp_path / 'maps').iterdir()) == ['a.png', 'b.png']


def test_maps_with_labels_say_it_too(tmp_path, logged):
    ours = metric(output_dir=str(tmp_path / 'maps'))
    ours.process({}, [sample(labelled=True)])
    assert ours.evaluate(1)['mFscore'] == pytest.approx(80 / 3, abs=0.01)
    assert len(logged) == 1
    without = metric()
    without.process({}, [sample(labelled=True)])
    without.evaluate(1)
    assert len(logged) == 1


def test_images_without_labels_are_mapped_and_not_compared(tmp_path, logged):
    ours = metric(output_dir=str(tmp_path / 'maps'))
    ours.process({}, [sample('a.tif', labelled=True), sample('b.tif', labelled=False)])
    assert ours.evaluate(2)['mFscore'] == pytest.approx(80 / 3, abs=0.01)
    assert sorted(path.name for path in (tmp_path / 'maps').iterdir()) == ['a.png', 'b.png']
    none = metric()
    none.process({}, [sample('b.tif', labelled=False)])
    with pytest.raises(UserError, match='compares with labels, but no image has any'):
        none.evaluate(1)
