"""Normalisation, channel order, padding and the checks of paired batches."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import toy
from mmengine.structures import PixelData
from mmseg.registry import MODELS

from dlc_mmseg.errors import UserError
from dlc_mmseg.models import PairedDomainDataPreprocessor


def preprocessor(**changes):
    config = {'type': 'PairedDomainDataPreprocessor', 'mean': [10.0, 20.0, 30.0], 'std': [2.0, 4.0, 5.0]}
    return MODELS.build({**config, **changes})


def test_both_domains_are_normalised_alike():
    data = toy.paired_batch()
    batch = preprocessor()(data, True)
    for domain in ('source', 'target'):
        stored = torch.stack(data[domain]['inputs']).float()
        for channel, (mean, std) in enumerate(((10.0, 2.0), (20.0, 4.0), (30.0, 5.0))):
            torch.testing.assert_close(batch['inputs'][domain][:, channel], (stored[:, channel] - mean) / std)
    ours, given = batch['data_samples']['source'][0], data['source']['data_samples'][0]
    assert torch.equal(ours.gt_sem_seg.data, given.gt_sem_seg.data)


def test_channel_order_is_turned_before_normalising():
    data = toy.domain_batch(labelled=True)
    batch = preprocessor(bgr_to_rgb=True)(data, True)
    stored = torch.stack(data['inputs']).float()
    torch.testing.assert_close(batch['inputs'][:, 0], (stored[:, 2] - 10.0) / 2.0)
    torch.testing.assert_close(batch['inputs'][:, 2], (stored[:, 0] - 30.0) / 5.0)


@pytest.mark.parametrize('channels', [1, 2, 4, 7])
def test_any_number_of_channels(channels):
    data = toy.paired_batch(channels=channels)
    per_channel = preprocessor(mean=[10.0] * channels, std=[2.0] * channels)(data, True)
    shared = preprocessor(mean=[10.0], std=[2.0])(data, True)
    for domain in ('source', 'target'):
        assert per_channel['inputs'][domain].shape == (2, channels, 16, 24)
        torch.testing.assert_close(per_channel['inputs'][domain], shared['inputs'][domain])


def test_smaller_tiles_are_padded_with_ignored_labels():
    data = toy.paired_batch()
    small = data['source']
    small['inputs'][1] = small['inputs'][1][:, :10, :20]
    labels = small['data_samples'][1].gt_sem_seg
    labels.set_field(labels.data[:, :10, :20], 'cut')
    del labels.data
    labels.data = labels.pop('cut')
    batch = preprocessor()(data, True)
    assert batch['inputs']['source'].shape == (2, 3, 16, 24)
    assert batch['inputs']['source'][1, :, 10:].eq(0).all()
    padded = batch['data_samples']['source'][1]
    assert padded.gt_sem_seg.data[:, 10:].eq(255).all()
    assert padded.gt_sem_seg.data[:, :, 20:].eq(255).all()
    assert padded.metainfo['padding_size'] == (0, 4, 0, 6)


def test_a_fixed_size_pads_both_halves():
    data = {'source': toy.domain_batch(labelled=True), 'target': toy.domain_batch(labelled=False, size=(8, 8))}
    batch = preprocessor(size=(16, 24))(data, True)
    assert batch['inputs']['source'].shape == batch['inputs']['target'].shape == (2, 3, 16, 24)


def test_one_domain_passes_as_in_mmseg():
    data = toy.domain_batch(labelled=False)
    batch = preprocessor()(data, False)
    assert batch['inputs'].shape == (2, 3, 16, 24)
    assert len(batch['data_samples']) == 2


def test_statistics_follow_the_device_but_not_the_checkpoint():
    module = preprocessor()
    assert not module.state_dict()
    assert {name for name, _ in module.named_buffers()} == {'mean', 'std'}


def test_halves_that_differ_are_refused():
    data = {'source': toy.domain_batch(labelled=True), 'target': toy.domain_batch(labelled=False, size=(16, 16))}
    with pytest.raises(UserError, match=r'source batch \(2, 3, 16, 24\) and target batch \(2, 3, 16, 16\).*crop_size'):
        preprocessor()(data, True)


@pytest.mark.parametrize('domain', ['source', 'target'])
def test_wrong_channels_name_the_domain(domain):
    data = toy.paired_batch()
    data[domain] = toy.domain_batch(labelled=domain == 'source', channels=4)
    with pytest.raises(UserError, match=rf'{domain} images have \[4\] channels'):
        preprocessor()(data, True)
    with pytest.raises(UserError, match=r'test images have \[1\] channels'):
        preprocessor()(toy.domain_batch(labelled=False, channels=1), False)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'mean': []}, 'mean'),
        ({'mean': [1.0]}, 'mean'),
        ({'mean': [1.0, float('nan'), 1.0]}, 'mean'),
        ({'std': [1.0, 0.0, 1.0]}, 'std'),
        ({'std': [1.0, float('nan'), 1.0]}, 'std'),
        ({'std': [1.0, float('inf'), 1.0]}, 'std'),
    ],
)
def test_bad_statistics_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        preprocessor(**changes)


def with_nodata(batch: dict[str, Any], nodata: torch.Tensor, value: float) -> dict[str, Any]:
    """A batch of one domain whose images hold a value where there is no data."""
    for index, sample in enumerate(batch['data_samples']):
        image = batch['inputs'][index].float()
        batch['inputs'][index] = image.masked_fill(nodata, value)
        sample.set_data({'nodata_map': PixelData(data=nodata[None])})
        if 'gt_sem_seg' in sample:
            sample.gt_sem_seg.data = sample.gt_sem_seg.data.masked_fill(nodata, 255)
    return batch


def test_pixels_without_data_hold_the_value_of_padding():
    nodata = torch.zeros(16, 24, dtype=torch.bool)
    nodata[3:9, 5:] = True
    module = PairedDomainDataPreprocessor(mean=[100.0], std=[50.0], size=(20, 24), pad_val=0.25)
    for training in (True, False):
        batch = with_nodata(toy.domain_batch(labelled=True), nodata, float('nan'))
        images = module(batch, training)['inputs']
        assert (images[:, :, :16][:, :, nodata] == 0.25).all()
        assert images.isfinite().all()


def test_automatic_statistics_travel_with_the_checkpoint(tmp_path):
    module = PairedDomainDataPreprocessor(mean='auto', std='auto')
    batch = toy.domain_batch(labelled=True, channels=4)
    with pytest.raises(UserError, match='band-statistics'):
        module(batch)
    module.set_statistics([1.0, 2, 3, 4], [5.0, 6, 7, 8])
    torch.save(module.state_dict(), tmp_path / 'a.pth')
    loaded = PairedDomainDataPreprocessor(mean='auto', std='auto')
    loaded.load_state_dict(torch.load(tmp_path / 'a.pth'))
    assert loaded.mean.flatten().tolist() == [1, 2, 3, 4]
    assert loaded.std.flatten().tolist() == [5, 6, 7, 8]
    torch.testing.assert_close(loaded(batch)['inputs'], module(batch)['inputs'])


def test_stated_statistics_stay_what_the_config_says():
    stated = PairedDomainDataPreprocessor(mean=[1.0], std=[2.0])
    assert not stated.state_dict()
    stated.load_state_dict({'mean': torch.ones(4, 1, 1), 'std': torch.ones(4, 1, 1)})
    assert stated.mean.flatten().tolist() == [1]
    automatic = PairedDomainDataPreprocessor(mean='auto', std='auto')
    automatic.load_state_dict({})  # of a run with stated ones
    assert not automatic.knows_statistics
    with pytest.raises(ValueError, match="'auto' for both"):
        PairedDomainDataPreprocessor(mean='auto', std=[1.0])
