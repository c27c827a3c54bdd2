"""Any value may be ignored, as long as all parts agree on it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from faults.injecting import SOURCE, TARGET, VALIDATION, each, png, shape_labels
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.checks import check_config


def test_one_value_everywhere_is_fine_and_trains(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    for folder in ('source', 'validation'):
        for path in each(tmp_path / folder / 'lbl'):
            labels = shape_labels()
            labels[:, 0] = 200
            png(path, labels)
    head = {'model.segmentor.decode_head.ignore_index': 200, 'model.data_preprocessor.seg_pad_val': 200}
    config.merge_from_dict({**head, 'model.class_mix.ignore_index': 200})
    config.merge_from_dict({f'{name}.ignore_index': 200 for name in (SOURCE, TARGET, VALIDATION)})
    config.merge_from_dict({'val_evaluator.ignore_index': 200, 'test_evaluator.ignore_index': 200})
    assert check_config(deepcopy(config.to_dict())).problems == []
    runner = runner_of(config)
    runner.train()
    assert np.isfinite(runner.message_hub.get_scalar('val/mIoU').current())


@METRICS.register_module()
class Overlap(IoUMetric):
    """The metric under another name."""


@pytest.mark.parametrize('evaluator', [{'type': 'Overlap'}, {'type': Overlap}, {'type': 'ClassIoUMetric'}])
def test_evaluators_are_told_by_what_they_are(tmp_path, evaluator):
    write_pair(tmp_path)
    config = run_config(tmp_path, val_evaluator=[{**evaluator, 'ignore_index': 254}])
    (problem,) = check_config(deepcopy(config.to_dict())).problems
    assert problem.where == 'val_evaluator.0.ignore_index'


@pytest.mark.parametrize(
    ('step', 'field'),
    [
        ({'type': 'Pad', 'size': (20, 20), 'pad_val': {'img': 0, 'seg': 1}}, 'pad_val.seg'),
        ({'type': 'RandomRotate', 'prob': 1.0, 'degree': 20, 'seg_pad_val': 1}, 'seg_pad_val'),
        (
            {'type': 'RandomCutOut', 'prob': 1.0, 'n_holes': 1, 'cutout_ratio': (0.2, 0.2), 'seg_fill_in': 1},
            'seg_fill_in',
        ),
    ],
)
def test_pixels_that_no_image_holds_are_not_made_a_class(tmp_path, step, field):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    config.train_dataloader.dataset.source.pipeline.insert(2, step)
    if 'size' in step:
        config.train_dataloader.dataset.target.pipeline.insert(1, step)  # it loads no labels
    (problem,) = check_config(deepcopy(config.to_dict())).problems
    assert (problem.severity, problem.where) == ('warning', f'{SOURCE}.pipeline.2.{field}')
    assert '1 is the class roof' in problem.what
