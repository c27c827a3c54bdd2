from __future__ import annotations

import warnings

import legacy_network as legacy
import pytest
import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS

from dlc_mmseg.deploy.legacy.keys import convert_network
from dlc_mmseg.models.decode_heads import DAFormerHead

WIDTHS = [8 * factor for factor in legacy.WIDTHS]


def features(batch_size: int = 2, height: int = 16, width: int = 24, *, dtype=torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    sizes = [(height >> level, width >> level) for level in range(4)]
    return [
        torch.randn(batch_size, channels, *size, generator=generator, dtype=dtype)
        for channels, size in zip(WIDTHS, sizes, strict=True)
    ]


def small(**changes) -> DAFormerHead:
    options = {'channels': 8, 'embed_dims': 8, 'num_classes': 5, **changes}
    return DAFormerHead(WIDTHS, **options)


@pytest.mark.parametrize('fusion', ['aspp', 'conv'])
def test_logits_and_gradients_equal_a_plain_reference(fusion: str) -> None:
    shapes = legacy.head_shapes(8, 5, pyramid=fusion == 'aspp')
    state = legacy.random_state({f'decode_head.{key}': shape for key, shape in shapes.items()}, dtype=torch.float64)
    head = small(fusion=fusion, dropout_ratio=0.0).double().eval()
    converted = convert_network(state).state
    head.load_state_dict({key.removeprefix('decode_head.'): value for key, value in converted.items()})
    ours, theirs = features(), features()
    for level in (*ours, *theirs):
        level.requires_grad_()
    logits, expected = head(ours), legacy.head(state, theirs)
    assert logits.shape == (2, 5, 16, 24)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    logits.square().sum().backward()
    expected.square().sum().backward()
    for level, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(level.grad, other.grad, rtol=1e-9, atol=1e-10)


def test_takes_the_levels_it_is_told() -> None:
    head = DAFormerHead([WIDTHS[1], WIDTHS[3]], 8, num_classes=4, embed_dims=8, in_index=[1, 3]).eval()
    levels = features(dtype=torch.float32)
    logits = head(levels)
    assert logits.shape[-2:] == levels[1].shape[-2:]
    changed = [torch.zeros_like(levels[0]), levels[1], torch.zeros_like(levels[2]), levels[3]]
    torch.testing.assert_close(head(changed), logits)


def test_published_sizes_are_the_defaults() -> None:
    head = MODELS.build({'type': 'DAFormerHead', 'in_channels': [64, 128, 320, 512], 'num_classes': 6})
    assert head.conv_seg.weight.shape == (6, 256, 1, 1)
    assert [layer.weight.shape[0] for layer in head.embed_layers] == [256] * 4
    dilations = [module.depthwise_conv.conv.dilation[0] for module in list(head.fuse_layer.aspp_modules)[1:]]
    assert dilations == [6, 12, 18]
    assert head.dropout.p == 0.1
    assert isinstance(head, BaseDecodeHead)


def test_the_classifier_starts_small_and_the_embedding_as_a_linear_layer() -> None:
    torch.manual_seed(0)
    head = DAFormerHead(WIDTHS, 64, num_classes=50, embed_dims=64)
    head.init_weights()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.01, rel=0.1)
    bound = 1 / WIDTHS[3] ** 0.5  # uniform, as torch.nn.Linear
    weight = head.embed_layers[3].weight
    assert weight.abs().max().item() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_one_map_and_two_classes_warn_of_nothing() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert small(num_classes=1).out_channels == 1
        assert small(num_classes=2).out_channels == 2
    assert not [warning for warning in caught if 'binary' in str(warning.message)]


def test_synchronised_batch_norm_keeps_the_names() -> None:
    plain, synchronised = small(), small(norm_cfg={'type': 'SyncBN', 'requires_grad': True})
    assert list(plain.state_dict()) == list(synchronised.state_dict())
    norms = [module for module in synchronised.modules() if 'BatchNorm' in type(module).__name__]
    assert norms
    assert all(isinstance(module, torch.nn.SyncBatchNorm) for module in norms)


@pytest.mark.parametrize(
    'changes',
    [
        {'channels': 0},
        {'num_classes': 0},
        {'embed_dims': 0},
        {'fusion': 'sum'},
        {'dilations': ()},
        {'dilations': (0, 6)},
        {'dropout_ratio': 1.0},
        {'in_index': [0, 1]},
    ],
)
def test_refuses_values_out_of_range(changes: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        small(**changes)
