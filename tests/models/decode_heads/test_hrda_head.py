from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mmseg.models.decode_heads.decode_head import BaseDecodeHead

from dlc_mmseg.functional.windows import Box
from dlc_mmseg.models.decode_heads import DetailCanvas, HRDAHead

WIDTHS = [4, 8, 12, 16]


def head_config(num_classes: int = 3, **changes: Any) -> dict[str, Any]:
    sizes = {'in_channels': WIDTHS, 'channels': 4, 'embed_dims': 4, 'num_classes': num_classes}
    return {'type': 'DAFormerHead', **sizes, 'dropout_ratio': 0.0, 'norm_cfg': {'type': 'BN'}, **changes}


def make(attention_classes: int | None = 3, **changes: Any) -> HRDAHead:
    attention = None if attention_classes is None else head_config(attention_classes, fusion='conv')
    torch.manual_seed(3)
    return HRDAHead(head_config(), attention, **changes).eval()


def context() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, width, 8 >> i, 8 >> i, generator=generator) for i, width in enumerate(WIDTHS)]


EVERYWHERE = Box(0, 0, 64, 64)


def detail(box: Box = EVERYWHERE) -> DetailCanvas:
    logits = torch.zeros(2, 3, 16, 16)
    place = (..., slice(box.top // 4, box.bottom // 4), slice(box.left // 4, box.right // 4))
    logits[place] = torch.randn(logits[place].shape, generator=torch.Generator().manual_seed(4))
    return DetailCanvas(logits, box, (64, 64))


def fused(head: HRDAHead, features: list[torch.Tensor], canvas: DetailCanvas) -> torch.Tensor:
    return head(head.view_context(features), canvas)


def up(maps: torch.Tensor) -> torch.Tensor:
    return F.interpolate(maps, (16, 16), mode='bilinear', align_corners=False)


@pytest.mark.parametrize('classes', [3, 1])
def test_fusion_is_the_published_formula(classes: int) -> None:
    head, levels, whole = make(classes), context(), detail()
    weight = torch.sigmoid(head.scale_attention(levels))
    assert weight.shape[1] == classes
    expected = up(weight) * whole.logits + up((1 - weight) * head.head(levels))
    torch.testing.assert_close(fused(head, levels, whole), expected)


def test_attention_is_zero_outside_the_crop() -> None:
    head, levels, crop = make(), context(), detail(Box(16, 32, 48, 64))
    inside = torch.zeros(8, 8)
    inside[2:6, 4:8] = 1
    weight = torch.sigmoid(head.scale_attention(levels)) * inside
    expected = up(weight) * crop.logits + up((1 - weight) * head.head(levels))
    logits = fused(head, levels, crop)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(logits[..., :3, :], up(head.head(levels))[..., :3, :])  # far above the crop: context


def test_fixed_attention_picks_one_scale() -> None:
    levels, whole = context(), detail()
    only_context, only_detail = make(None, fixed_attention=0), make(None, fixed_attention=1.0)
    torch.testing.assert_close(fused(only_context, levels, whole), up(only_context.head(levels)))
    torch.testing.assert_close(fused(only_detail, levels, whole), whole.logits)


def test_gradient_reaches_both_scales_and_the_attention() -> None:
    head, whole = make(), detail()
    whole.logits.requires_grad_()
    fused(head, context(), whole).square().sum().backward()
    assert whole.logits.grad.abs().sum() > 0
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_one_head_serves_both_scales_under_the_known_names() -> None:
    keys = list(make().state_dict())
    assert {key.split('.')[0] for key in keys} == {'head', 'scale_attention'}
    assert sum(key.endswith('conv_seg.weight') for key in keys) == 2


def test_answers_for_its_inner_head() -> None:
    head = make()
    assert isinstance(head, BaseDecodeHead)
    assert (head.num_classes, head.out_channels, head.align_corners, head.ignore_index) == (3, 3, False, 255)
    assert head.loss_decode is head.head.loss_decode
    assert head.threshold is None


@pytest.mark.parametrize(
    ('classes', 'changes', 'message'),
    [
        (None, {}, 'give one of scale_attention'),
        (3, {'fixed_attention': 1.0}, 'give one of scale_attention'),
        (None, {'fixed_attention': 1.5}, 'fixed_attention must lie in'),
        (2, {}, 'scale_attention has 2 classes'),
    ],
)
def test_refuses_what_does_not_fit(classes: int | None, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(classes, **changes)
