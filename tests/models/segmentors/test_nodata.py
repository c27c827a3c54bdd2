"""Pixels without data take no part in training, nor in maps."""

from __future__ import annotations

import numpy as np
import torch
import toy
from mmengine.structures import PixelData
from mmseg.registry import MODELS

from dlc_mmseg.models.segmentors.target_batch import valid_pixels


def batch_with_nodata(model: torch.nn.Module, seed: int = 3) -> dict:
    """A normalised batch whose source and target have a hole each."""
    data = toy.paired_batch(seed)
    nodata = torch.zeros(16, 24, dtype=torch.bool)
    nodata[2:10, 4:15] = True
    for half in data.values():
        for sample in half['data_samples']:
            sample.set_data({'nodata_map': PixelData(data=nodata[None])})
            if 'gt_sem_seg' in sample:
                sample.gt_sem_seg.data = sample.gt_sem_seg.data.masked_fill(nodata, 255)
    return model.data_preprocessor(data, True)


def test_no_weight_no_share_and_no_point_without_data():
    torch.manual_seed(0)
    model = MODELS.build(toy.dlc())
    batch = batch_with_nodata(model)
    samples = batch['data_samples']['target']
    teacher = model.label_target(batch['inputs']['target'], samples)
    nodata = samples[0].nodata_map.data[0]
    assert not teacher.valid[:, nodata].any()
    assert teacher.valid[:, ~nodata].all()
    assert (teacher.pseudo.weight[:, nodata] == 0).all()
    confident = (teacher.pseudo.confidence >= model.pseudo_label_threshold) & ~nodata
    share = confident.sum((1, 2)) / (~nodata).sum()
    for weight, expected in zip(teacher.pseudo.weight, share, strict=True):
        assert weight[~nodata].eq(expected).all()
    mixed = next(batch_ for batch_ in model.target_batches(**batch, teacher=teacher) if batch_.name == 'mix')
    assert mixed.weight[:, nodata].eq(0).all()  # the source has its hole at the same place


def test_whatever_stands_where_there_is_no_data_changes_nothing():
    """Losses and T of two batches that differ in the stored values of nodata pixels only."""
    outcomes = []
    for value in (0, 200):
        torch.manual_seed(0)
        np.random.seed(0)
        model = MODELS.build(toy.dlc())
        data = toy.paired_batch(5)
        nodata = torch.zeros(16, 24, dtype=torch.bool)
        nodata[:, :7] = True
        for half in data.values():
            for index, sample in enumerate(half['data_samples']):
                half['inputs'][index][:, nodata] = value
                sample.set_data({'nodata_map': PixelData(data=nodata[None])})
                if 'gt_sem_seg' in sample:
                    sample.gt_sem_seg.data = sample.gt_sem_seg.data.masked_fill(nodata, 255)
        log = model.train_step(data, toy.optim_wrapper(model))
        outcomes.append((log['loss'], model.transition().detach()))
    assert torch.equal(outcomes[0][0], outcomes[1][0])
    assert torch.equal(outcomes[0][1], outcomes[1][1])


def test_maps_say_where_there_is_no_data():
    model = MODELS.build(toy.dlc()).eval()
    half = toy.domain_batch(labelled=False, batch_size=1)
    nodata = torch.zeros(16, 24, dtype=torch.bool)
    nodata[0] = True
    half['data_samples'][0].set_data({'nodata_map': PixelData(data=nodata[None])})
    with torch.no_grad():
        labels = model.test_step(half)[0].pred_sem_seg.data[0]
    assert (labels[0] == 255).all()
    assert (labels[1:] < toy.NUM_CLASSES).all()


def test_padding_and_nodata_are_both_invalid():
    half = toy.domain_batch(labelled=False, batch_size=1)
    sample = half['data_samples'][0]
    sample.set_metainfo({'padding_size': (0, 2, 0, 3)})
    nodata = torch.zeros(16, 24, dtype=torch.bool)
    nodata[1, 1] = True
    sample.set_data({'nodata_map': PixelData(data=nodata[None])})
    valid = valid_pixels(torch.zeros(1, 3, 19, 26), [sample])[0]
    expected = torch.zeros(19, 26, dtype=torch.bool)
    expected[:16, :24] = ~nodata
    assert torch.equal(valid, expected)
