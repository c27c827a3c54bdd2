"""Outputs of a segmentor's backbone, recorded as they pass by."""

from __future__ import annotations

import pytest
import torch
import toy
from mmseg.models.segmentors import EncoderDecoder

from dlc_mmseg.models.backbone_outputs import recorded_features


class DetailFirst(EncoderDecoder):
    """Calls its backbone for a part of the images before, and for another after it has seen the whole."""

    def encode_decode(self, inputs, batch_img_metas):
        self.backbone(inputs[..., :8])
        logits = super().encode_decode(inputs, batch_img_metas)
        self.backbone(inputs[..., 8:])
        return logits


def make(kind=EncoderDecoder):
    config = toy.segmentor()
    config.pop('type')
    return kind(**config).eval()


METAS = [{'img_shape': (16, 24)}]
IMAGES = torch.randn(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('kind', [EncoderDecoder, DetailFirst])
def test_features_are_those_of_whole_images_whatever_comes_first(kind):
    segmentor = make(kind)
    with recorded_features(segmentor) as outputs:
        assert outputs == []
        segmentor.encode_decode(IMAGES, METAS)
        segmentor.encode_decode(torch.zeros_like(IMAGES), METAS)
    ((images, features),) = outputs
    torch.testing.assert_close(images, IMAGES)
    for ours, expected in zip(features, segmentor.backbone(IMAGES), strict=True):
        torch.testing.assert_close(ours, expected)
    segmentor.encode_decode(IMAGES, METAS)
    assert len(outputs) == 1


def test_a_backbone_with_one_output():
    segmentor = make()
    segmentor.backbone.forward = segmentor.backbone.first.forward
    with recorded_features(segmentor) as outputs:
        segmentor.extract_feat(IMAGES)
    assert [tensor.shape for tensor in outputs[0].features] == [(1, 8, 8, 12)]


def test_nothing_stays_after_an_error():
    segmentor = make()
    with pytest.raises(RuntimeError, match='stop'), recorded_features(segmentor):
        raise RuntimeError('stop')
    with pytest.raises(TypeError), recorded_features(segmentor):
        segmentor.extract_feat(None)
    assert not segmentor.backbone._forward_hooks
    assert 'extract_feat' not in vars(segmentor)


def test_an_own_method_comes_back():
    segmentor = make()
    segmentor.extract_feat = own = lambda inputs: segmentor.backbone(inputs)
    with recorded_features(segmentor) as outputs:
        segmentor.extract_feat(IMAGES)
    assert len(outputs) == 1
    assert segmentor.extract_feat is own


def test_the_gradient_is_kept():
    segmentor = make()
    with recorded_features(segmentor) as outputs:
        segmentor.encode_decode(IMAGES, METAS)
    outputs[0].features[0].sum().backward()
    assert all(parameter.grad is not None for parameter in segmentor.backbone.first.parameters())


def test_a_segmentor_that_extracts_nothing_is_named():
    segmentor = make()
    message = 'EncoderDecoder predicts without calling its backbone in extract_feat'
    with pytest.raises(RuntimeError, match=message), recorded_features(segmentor):
        segmentor.backbone(IMAGES)
