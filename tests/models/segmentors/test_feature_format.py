"""Features in another memory format, with equal values."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import toy
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from dlc_mmseg.models.segmentors.feature_format import ConvertFeatures

HEADS = {
    'daformer': {'type': 'DAFormerHead', 'embed_dims': 8},
    'segformer': {'type': 'SegformerHead', 'in_index': [0, 1, 2, 3], 'norm_cfg': {'type': 'BN'}},
}


def build(memory_format, head='daformer', backbone='MixVisionTransformer'):
    torch.manual_seed(0)
    segmentor = toy.segmentor()
    segmentor.backbone = ConfigDict(type=backbone, embed_dims=8, num_layers=[1, 1, 1, 1], num_heads=[1, 2, 5, 8])
    segmentor.decode_head = ConfigDict(
        in_channels=[8, 16, 40, 64], channels=8, num_classes=3, dropout_ratio=0.0, **HEADS[head]
    )
    model = MODELS.build(toy.dlc(segmentor=segmentor, memory_format=memory_format))
    model.init_weights()
    return model


def received(network, images):
    """Features that the head receives."""
    with torch.no_grad():
        return network.extract_feat(images)


@pytest.mark.parametrize('backbone', ['MixVisionTransformer', 'LegacyMixVisionTransformer'])
@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('training', [False, True])
def test_logits_and_gradients_do_not_depend_on_the_format(head, backbone, training):
    images = torch.randn(2, 3, 64, 96)
    found = {}
    for memory_format in ('auto', 'contiguous', 'channels_last', 'keep'):
        network = build(memory_format, head, backbone).double().student.train(training)
        logits = network._forward(images.double())
        logits.square().mean().backward()
        found[memory_format] = logits.detach(), network.backbone.layers[0][0].projection.weight.grad
    for other in found.values():
        torch.testing.assert_close(other, found['keep'], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ('memory_format', 'expected'),
    [
        ('auto', torch.contiguous_format),
        ('contiguous', torch.contiguous_format),
        ('channels_last', torch.channels_last),
    ],
)
def test_every_network_gets_the_format_copies_too(memory_format, expected):
    model, images = build(memory_format), torch.randn(2, 3, 64, 96)
    copies = copy.deepcopy(model.student), pickle.loads(pickle.dumps(model.student))
    for network in (model.student, model.teacher, *copies):
        assert all(level.is_contiguous(memory_format=expected) for level in received(network, images))


def test_keep_leaves_the_views_of_the_backbone():
    levels = received(build('keep').student, torch.randn(2, 3, 64, 96))
    assert not any(level.is_contiguous() for level in levels)


def test_outputs_of_any_kind_pass():
    convert, maps = ConvertFeatures('contiguous'), torch.zeros(2, 4, 4, 3).permute(0, 3, 1, 2)
    assert convert(None, None, maps).is_contiguous()
    assert type(convert(None, None, (maps, maps))) is tuple
    tokens = torch.zeros(2, 3, 16).transpose(1, 2)
    assert convert(None, None, [maps, tokens])[1] is tokens


def test_a_format_that_is_none_is_refused():
    with pytest.raises(ValueError, match="memory_format is 'nhwc': choose one of"):
        build('nhwc')
