"""Label-free scores as an evaluator: the sums of all images, and a checkpoint chosen by them."""

from __future__ import annotations

import math

import pytest
import torch
from tiny_domains import dataset_config
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.checks import check_config
from dlc_mmseg.engine.label_free_metric import LabelFreeMetric


def sample(logits, nodata=None):
    content = {'seg_logits': {'data': logits}}
    return content if nodata is None else {**content, 'nodata_map': {'data': nodata[None]}}


def test_scores_are_those_of_all_pixels_with_data_together():
    logits = torch.randn(3, 4, 10, generator=torch.Generator().manual_seed(0))
    nodata = torch.zeros(4, 6, dtype=torch.bool)
    nodata[:, :2] = True
    metric = LabelFreeMetric()
    metric.process({}, [sample(logits[..., :4]), sample(logits[..., 4:], nodata)])
    found = metric.evaluate(2)
    probs = torch.cat([logits[..., :4], logits[..., 6:]], dim=2).softmax(0).flatten(1).double()
    diversity = float(torch.special.entr(probs.mean(1)).sum()) / math.log(3)
    conditional = float(torch.special.entr(probs).sum(0).mean()) / math.log(3)
    assert found == pytest.approx(
        {
            'label_free/confidence': float(probs.amax(0).mean()),
            'label_free/diversity': diversity,
            'label_free/information': diversity - conditional,
        },
        abs=1e-5,
    )


def test_predictions_of_resized_images_have_the_pixels_without_data_of_their_own_size():
    logits = torch.randn(3, 8, 12, generator=torch.Generator().manual_seed(0))
    nodata = torch.zeros(4, 6, dtype=torch.bool)  # of the image as the network saw it, at half the size
    nodata[:, :3] = True
    metric, cut = LabelFreeMetric(), LabelFreeMetric()
    metric.process({}, [sample(logits, nodata)])
    cut.process({}, [sample(logits[..., 6:])])
    assert metric.evaluate(1) == pytest.approx(cut.evaluate(1), abs=1e-5)


def test_an_unlabelled_target_gets_a_chosen_checkpoint(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    config.val_dataloader.dataset = dataset_config(tmp_path / 'target', labelled=False, test_mode=True)
    config.val_evaluator = {'type': 'LabelFreeMetric'}
    config.train_cfg.val_interval = 1
    config.default_hooks.checkpoint.update(save_best='label_free/information', rule='greater')
    assert not check_config(config.to_dict()).errors
    runner = runner_of(config)
    runner.train()
    (best,) = (tmp_path / 'work').glob('best_label_free_information_iter_*.pth')
    scores = runner.message_hub.get_scalar('val/label_free/information')
    assert math.isfinite(scores.current())
    assert best.stat().st_size > 0


def test_a_validation_that_compares_still_needs_labels(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    config.val_dataloader.dataset = dataset_config(tmp_path / 'target', labelled=False, test_mode=True)
    for evaluator in ({'type': 'IoUMetric'}, [{'type': 'LabelFreeMetric'}, {'type': 'IoUMetric'}]):
        config.val_evaluator = evaluator
        errors = check_config(config.to_dict()).errors
        assert any(problem.where == 'val_dataloader.dataset' and 'no labels' in problem.what for problem in errors)
