"""Sliding inference beside MMSegmentation's own."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import toy
from mmengine.config import ConfigDict
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.utils._python_dispatch import TorchDispatchMode

from dlc_mmseg.models.segmentors.sliding import slide_linearly

SLIDE = {'mode': 'slide', 'crop_size': (16, 16), 'stride': (8, 12)}


def build(test_cfg=SLIDE, **changes):
    torch.manual_seed(0)
    segmentor = toy.segmentor(auxiliary=True)
    segmentor.test_cfg = ConfigDict(test_cfg)
    model = MODELS.build(toy.dlc(segmentor=segmentor, **changes))
    model.init_weights()
    return model.eval()


def images(size, batch_size=2):
    return torch.randn(batch_size, 3, *size, generator=torch.Generator().manual_seed(1))


def metas(size, batch_size=2):
    return [{'img_shape': size, 'ori_shape': size, 'pad_shape': size} for _ in range(batch_size)]


class Allocations(TorchDispatchMode):
    """Elements of every tensor that an operation makes anew."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        storages = {arg.untyped_storage().data_ptr() for arg in args if isinstance(arg, torch.Tensor)}
        if isinstance(out, torch.Tensor) and out.untyped_storage().data_ptr() not in storages:
            self.sizes.append(out.numel())
        return out


@pytest.mark.parametrize('size', [(40, 52), (16, 16), (33, 16), (9, 40), (12, 10)])
@pytest.mark.parametrize('network', ['student', 'teacher'])
@torch.no_grad()
def test_logits_are_those_of_mmsegmentation_bit_by_bit(size, network):
    found = getattr(build(), network)
    expected = EncoderDecoder.slide_inference(found, images(size), metas(size))
    given = metas(size)
    assert torch.equal(found.slide_inference(images(size), given), expected)
    assert torch.equal(found.inference(images(size), metas(size)), expected)
    assert given == metas(size)  # MMSegmentation writes the window's size into them


@pytest.mark.parametrize('predict_with', ['student', 'teacher'])
@torch.no_grad()
def test_predictions_come_the_same_way(predict_with, monkeypatch):
    model, size = build(predict_with=predict_with), (40, 52)
    samples = [SegDataSample(metainfo=meta) for meta in metas(size)]
    expected = EncoderDecoder.slide_inference(model.inference_network, images(size), metas(size))
    monkeypatch.setattr(EncoderDecoder, 'slide_inference', None)
    for logits, sample in zip(expected, model.predict(images(size), samples), strict=True):
        torch.testing.assert_close(sample.seg_logits.data, logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize('changes', [{'window_batch_size': 3}, {'window_batch_size': 999}, {'canvas_device': 'cpu'}])
@torch.no_grad()
def test_windows_at_once_and_the_place_of_the_canvas_change_nothing(changes):
    size = (40, 52)
    expected = build().student.slide_inference(images(size), metas(size))
    found = build({**SLIDE, **changes}).student.slide_inference(images(size), metas(size))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_time_is_linear_and_one_canvas_is_kept():
    model = build().student
    model.encode_decode = lambda crop, _: crop  # the network's own share is linear anyhow
    model.out_channels = 3
    made = {}
    for rows in (64, 128):
        inputs = images((rows, 64), 1)
        with Allocations() as allocations:
            model.slide_inference(inputs, metas((rows, 64), 1))
        made[rows] = sum(allocations.sizes)
        assert sum(size >= inputs.numel() for size in allocations.sizes) == 1
    assert made[128] < 2.1 * made[64]


def test_copies_slide_with_their_own_weights():
    student = build().student
    for other in (copy.deepcopy(student), pickle.loads(pickle.dumps(student))):
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.zero_()
            assert not other.slide_inference(images((20, 20)), metas((20, 20))).any()
            assert student.slide_inference(images((20, 20)), metas((20, 20))).any()


def test_a_segmentor_with_its_own_way_keeps_it():
    class Own(EncoderDecoder):
        def slide_inference(self, inputs, batch_img_metas):
            return 'own'

    config = toy.segmentor()
    del config['type']
    network = Own(**config)
    slide_linearly(network)
    assert network.slide_inference(None, None) == 'own'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'stride': (8, 17)}, r'stride \(8, 17\) exceeds crop_size'),
        ({'crop_size': 16}, 'crop_size is 16: give height and width'),
        ({'stride': (0, 8)}, 'choose pixels from 1'),
        ({'stride': None}, 'stride is None'),
        ({'window_batch_size': 0}, 'window_batch_size is 0'),
        ({'canvas_device': 'disk'}, "canvas_device is 'disk'"),
    ],
)
def test_windows_that_make_no_sense_are_refused_at_once(changes, message):
    with pytest.raises(ValueError, match=message):
        build({**SLIDE, **changes})
