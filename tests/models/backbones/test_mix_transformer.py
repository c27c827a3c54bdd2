from __future__ import annotations

import legacy_network as legacy
import pytest
import torch
from mmseg.registry import MODELS

from dlc_mmseg.deploy.legacy.conversion import convert_state_dict
from dlc_mmseg.models.backbones import LegacyMixVisionTransformer


@pytest.mark.parametrize('size', [(64, 96), (65, 79)])
def test_features_equal_the_authors(size: tuple[int, int]) -> None:
    shapes = legacy.backbone_shapes(8, (2, 1, 2, 1), channels=4)
    state = legacy.random_state(shapes, dtype=torch.float64)
    model = LegacyMixVisionTransformer(in_channels=4, embed_dims=8, num_layers=(2, 1, 2, 1)).double().eval()
    model.load_state_dict(convert_state_dict(state).state)
    images = 0.01 * torch.randn(2, 4, *size, dtype=torch.float64)  # flat images: epsilons count
    with torch.no_grad():
        features = model(images)
    assert all(
        torch.allclose(ours, theirs, rtol=0, atol=1e-12)
        for ours, theirs in zip(features, legacy.encoder(state, images, ''), strict=True)
    )


def test_state_dicts_are_those_of_mmsegmentation() -> None:
    sizes = {'embed_dims': 8, 'num_layers': [1, 2, 1, 1], 'num_heads': [1, 2, 5, 8]}
    ours = MODELS.build({'type': 'LegacyMixVisionTransformer', **sizes}).state_dict()
    theirs = MODELS.build({'type': 'MixVisionTransformer', **sizes}).state_dict()
    assert {key: value.shape for key, value in ours.items()} == {key: value.shape for key, value in theirs.items()}


def test_recomputed_blocks_give_the_same_gradient() -> None:
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = LegacyMixVisionTransformer(embed_dims=8, num_layers=(1, 1, 1, 1), with_cp=with_cp)
        model(torch.ones(1, 3, 64, 64, requires_grad=True))[-1].sum().backward()
        gradients.append(model.layers[0][0].projection.weight.grad)
    torch.testing.assert_close(*gradients)
