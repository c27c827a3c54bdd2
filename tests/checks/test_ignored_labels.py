"""Any value may be ignored, as long as all parts agree on it."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from faults.injecting import SOURCE, TARGET, VALIDATION, each, png, shape_labels
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
