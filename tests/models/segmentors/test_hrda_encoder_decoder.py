from __future__ import annotations

import functools
from typing import Any

import legacy_network as legacy
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import ConfigDict
from mmengine.optim import OptimWrapper
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from parity import legacy_tensor

from dlc_mmseg.deploy.legacy.conversion import convert_state_dict
from dlc_mmseg.functional.windows import Box
from dlc_mmseg.models.backbone_outputs import recorded_features
from dlc_mmseg.models.segmentors import HRDAEncoderDecoder
from dlc_mmseg.models.segmentors.head_logits import check_segmentor, training_logits

CLASSES = 5
CROP = (64, 64)
SIZES = {'in_channels': [8 * factor for factor in legacy.WIDTHS], 'channels': 8, 'embed_dims': 8, 'dropout_ratio': 0.0}
HEAD = {'type': 'DAFormerHead', 'num_classes': CLASSES, **SIZES}
FEATURE_DISTANCE = {'type': 'FeatureDistance', 'classes': [0, 1]}


def config(**changes: Any) -> dict[str, Any]:
    attention = {**HEAD, 'fusion': 'conv'}
    backbone = {'type': 'LegacyMixVisionTransformer', 'embed_dims': 8, 'num_layers': (1, 1, 1, 1)}
    decode_head = {'type': 'HRDAHead', 'head': HEAD, 'scale_attention': attention}
    network = {'type': 'HRDAEncoderDecoder', 'backbone': backbone, 'decode_head': decode_head}
    return ConfigDict({**network, 'crop_size': CROP, 'test_cfg': {'mode': 'whole'}, **changes})


@functools.cache
def legacy_state() -> dict[str, torch.Tensor]:
    return legacy.random_state(legacy.segmentor_shapes(classes=CLASSES))


def make(**changes: Any) -> HRDAEncoderDecoder:
    model = MODELS.build(config(**changes))
    model.load_state_dict(convert_state_dict(legacy_state()).state)
    return model.eval()


def image(height: int = 96, width: int = 128, batch_size: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(batch_size, 3, height, width, generator=generator)


def samples(height: int = 96, width: int = 128, batch_size: int = 2) -> list[SegDataSample]:
    generator = torch.Generator().manual_seed(6)
    labels = torch.randint(0, CLASSES, (batch_size, 1, height, width), generator=generator)
    labels[:, :, :3] = 255
    meta = {'img_shape': (height, width), 'ori_shape': (height, width), 'pad_shape': (height, width)}
    return [SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=label)) for label in labels]


# ---- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('height', 'width'), [(96, 128), (104, 72), (64, 64)])
def test_test_time_logits_equal_a_plain_reference(height: int, width: int) -> None:
    inputs = image(height, width)
    with torch.no_grad():
        expected = legacy.hrda_test(legacy_state(), inputs, CROP)
        logits = make().encode_decode(inputs, [])
    torch.testing.assert_close(logits, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize('box', [Box(0, 0, 64, 64), Box(32, 40, 96, 104), Box(16, 64, 80, 128)])
def test_training_logits_equal_a_plain_reference(box: Box) -> None:
    inputs = image()
    with torch.no_grad():
        fused, detail = make().training_logits(inputs, box)
        expected_fused, expected_detail = legacy.hrda_train(legacy_state(), inputs, box.top, box.left, CROP)
    torch.testing.assert_close(fused.logits, expected_fused, rtol=0, atol=2e-5)
    torch.testing.assert_close(detail.logits, expected_detail, rtol=0, atol=2e-5)
    assert (fused.name, fused.box, detail.name, detail.box) == ('decode', None, 'detail', box)
    assert (fused.loss_weight, detail.loss_weight) == (pytest.approx(0.9), pytest.approx(0.1))


def test_the_loss_weighs_fused_and_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(24, 8, 88, 72)
    module = 'dlc_mmseg.models.segmentors.hrda_encoder_decoder.random_box'
    monkeypatch.setattr(module, lambda *_, **__: box)
    inputs, data_samples = image(), samples()
    labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
    with torch.no_grad():
        losses = make(detail_loss_weight=0.25).loss(inputs, data_samples)
        fused, detail = legacy.hrda_train(legacy_state(), inputs, box.top, box.left, CROP)

    def mean_over_all(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        logits = F.interpolate(logits, target.shape[-2:], mode='bilinear', align_corners=False)
        return F.cross_entropy(logits, target, ignore_index=255, reduction='sum') / target.numel()

    rows, columns = box.slices
    torch.testing.assert_close(losses['decode.loss_ce'], 0.75 * mean_over_all(fused, labels))
    torch.testing.assert_close(losses['detail.loss_ce'], 0.25 * mean_over_all(detail, labels[:, rows, columns]))
    assert set(losses) == {'decode.loss_ce', 'decode.acc_seg', 'detail.loss_ce', 'detail.acc_seg'}


def test_a_training_step_has_the_gradient_of_a_plain_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Box(32, 40, 96, 104)
    module = 'dlc_mmseg.models.segmentors.hrda_encoder_decoder.random_box'
    monkeypatch.setattr(module, lambda *_, **__: box)
    inputs, data_samples = image().double(), samples()
    labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
    rows, columns = box.slices
    model = make().double().train()
    sum(value for key, value in model.loss(inputs, data_samples).items() if 'loss' in key).backward()

    state = {key: value.double() for key, value in legacy_state().items()}
    trained = {key: value for key, value in state.items() if 'running' not in key and 'num_batches' not in key}
    for value in trained.values():
        value.requires_grad_()
    fused, detail = legacy.hrda_train({**state, 'training': True}, inputs, box.top, box.left, CROP)
    for logits, target, share in ((fused, labels, 0.9), (detail, labels[:, rows, columns], 0.1)):
        logits = F.interpolate(logits, target.shape[-2:], mode='bilinear', align_corners=False)
        loss = F.cross_entropy(logits, target, ignore_index=255, reduction='sum') / target.numel()
        (share * loss).backward(retain_graph=True)
    for key, value in trained.items():
        ours = legacy_tensor(model, key, gradient=True)
        torch.testing.assert_close(ours, value.grad, rtol=1e-6, atol=1e-10, msg=key)


def test_no_detail_loss_without_a_weight() -> None:
    model = make(detail_loss_weight=0.0)
    (fused,) = model.training_logits(image())
    assert (fused.name, fused.loss_weight) == ('decode', 1.0)
    assert set(model.loss(image(), samples())) == {'decode.loss_ce', 'decode.acc_seg'}


def test_head_loss_weights_are_part_of_the_logits_weight() -> None:
    changes = config()
    changes['decode_head']['head']['loss_decode'] = {'type': 'CrossEntropyLoss', 'loss_weight': 2.0}
    fused, detail = MODELS.build(changes).training_logits(image())
    assert (fused.loss_weight, detail.loss_weight) == (pytest.approx(1.8), pytest.approx(0.2))


# ---- geometry ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('size', [(97, 131), (65, 64), (40, 150), (17, 9), (1, 1)])
def test_any_size_at_test_and_in_training(size: tuple[int, int]) -> None:
    model, inputs = make(), image(*size)
    with torch.no_grad():
        logits = model.encode_decode(inputs, [])
        padded = F.pad(inputs, (0, _rest(size[1]), 0, _rest(size[0])), mode='replicate')
        expected = model.encode_decode(padded, [])[..., : size[0], : size[1]]
        fused, *rest = model.training_logits(inputs)
        losses = model.loss(inputs, samples(*size))
    assert logits.shape == (2, CLASSES, *size)
    torch.testing.assert_close(logits, expected)
    assert fused.resized(size).shape == logits.shape
    for detail in rest:
        height, width = detail.resized(size).shape[-2:]
        assert detail.cropped(torch.zeros(2, *size)).shape[1:] == (height, width)
    assert all(value.isfinite() for value in losses.values())


def test_a_crop_of_a_small_image_shows_the_image() -> None:
    model, inputs = make(crop_size=(32, 32)), image(17, 9)
    for seed in range(8):
        torch.manual_seed(seed)
        with torch.no_grad():
            detail = model.training_logits(inputs)[1]
        assert detail.resized((17, 9)).shape == (2, CLASSES, 17, 9)


def _rest(side: int) -> int:
    return max(64, (side + 7) // 8 * 8) - side


@pytest.mark.parametrize('scales', [(0.5, 1.0), (1.0, 1.0), (0.75, 1.25), (0.37, 0.81), (0.5, 2.0)])
@pytest.mark.parametrize('crop', [(64, 64), (50, 90), (41, 77), (400, 400)])
def test_any_scales_and_crop(scales: tuple[float, float], crop: tuple[int, int]) -> None:
    model = make(scales=scales, crop_size=crop, min_size=96)
    with torch.no_grad():
        logits = model.encode_decode(image(batch_size=1), [])
        fused, detail = model.training_logits(image(batch_size=1))
    assert logits.shape == (1, CLASSES, 96, 128)
    assert logits.isfinite().all()
    assert fused.logits.isfinite().all()
    height, width = min(crop[0], 96), min(crop[1], 128)
    assert detail.resized((96, 128)).shape[-2:] == (height, width)
    if (height, width) == (96, 128):
        assert detail.box is None


def test_crop_logits_lie_where_the_crop_lies() -> None:
    """With the detail alone, the fused logits inside the crop are the detail's, wherever the crop falls."""
    head = config()['decode_head']
    head.pop('scale_attention')
    head['fixed_attention'] = 1.0
    model = MODELS.build(config(decode_head=head, crop_size=(40, 48))).eval()
    for box in (Box(0, 0, 40, 48), Box(56, 80, 96, 128), Box(16, 24, 56, 72)):
        with torch.no_grad():
            fused, detail = model.training_logits(image(), box)
        inside = (..., slice(box.top // 4 + 2, box.bottom // 4 - 2), slice(box.left // 4 + 2, box.right // 4 - 2))
        torch.testing.assert_close(fused.logits[inside], detail.logits[..., 2:-2, 2:-2])


def test_windows_go_through_the_network_in_batches() -> None:
    inputs, sizes = image(), []
    whole, chunked = make(), make(detail_batch_size=4)
    chunked.backbone.register_forward_hook(lambda _module, args, _output: sizes.append(args[0].shape[0]))
    with torch.no_grad():
        torch.testing.assert_close(chunked.encode_decode(inputs, []), whole.encode_decode(inputs, []))
    assert sizes == [2, 4, 4, 4]  # the context, then 6 windows of 2 images


def test_draws_are_aligned_and_reach_the_last_offset() -> None:
    model, offsets = make(), set()
    torch.manual_seed(0)
    model.extract_feat = model.decode_head.view_context = lambda _: None
    model._detail_logits = lambda _images, boxes: torch.zeros(1, CLASSES, 16, 16)
    model.decode_head.forward = lambda _context, detail: detail.logits
    for _ in range(300):
        box = model.training_logits(image())[1].box
        offsets.add((box.top, box.left))
    assert offsets == {(top, left) for top in range(0, 33, 8) for left in range(0, 65, 8)}


def test_training_leaves_no_trace() -> None:
    model, other, inputs = make(), make(crop_size=(32, 32)), image()
    with torch.no_grad():
        before = model.encode_decode(inputs, [])
        model.training_logits(inputs)
        other.training_logits(inputs)
        torch.testing.assert_close(model.encode_decode(inputs, []), before, rtol=0, atol=0)


def test_the_context_is_computed_first_and_is_extract_feat() -> None:
    model, outputs, inputs = make(), [], image()
    model.backbone.register_forward_hook(lambda _module, _args, output: outputs.append(output))
    with torch.no_grad():
        for run in (lambda: model.encode_decode(inputs, []), lambda: model.training_logits(inputs)):
            outputs.clear()
            run()
            first = outputs[0]
            features = model.extract_feat(inputs)
            assert all(torch.equal(a, b) for a, b in zip(first, features, strict=True))
            assert first[0].shape[-2:] == (96 // 8, 128 // 8)


# ---- as a segmentor of MMSegmentation ----------------------------------------------------------------------------


def test_predicts_whole_and_sliding() -> None:
    inputs = image(80, 136, 1)
    results = {}
    for mode in ('whole', 'slide'):
        model = make(test_cfg={'mode': mode, 'crop_size': (80, 96), 'stride': (80, 40)})
        with torch.no_grad():
            (result,) = model.predict(inputs, samples(80, 136, 1))
            assert model(inputs, mode='tensor').shape == (1, CLASSES, 80, 136)
        results[mode] = result.seg_logits.data
        assert result.pred_sem_seg.data.shape == (1, 80, 136)
    left = make().encode_decode(inputs[..., :96], [])[0]
    torch.testing.assert_close(results['slide'][..., :40], left[..., :40])
    assert not torch.equal(results['slide'], results['whole'])


@pytest.mark.parametrize('half', [False, True])
def test_a_supervised_step_trains_every_tensor(half: bool) -> None:
    model = make(data_preprocessor={'type': 'SegDataPreProcessor', 'size_divisor': 8}).train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=0)
    batch = {'inputs': list(image()), 'data_samples': samples()}
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=half):
        log = model.train_step(batch, OptimWrapper(optimizer=optimizer))
    assert log['loss'].isfinite()
    assert {'decode.loss_ce', 'detail.loss_ce'} <= set(log)
    unchanged = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert not unchanged


def test_bfloat16_autocast_predicts_like_single_precision() -> None:
    model, inputs = make(), image()
    with torch.no_grad():
        exact = model.encode_decode(inputs, [])
        with torch.autocast('cpu', dtype=torch.bfloat16):
            rough = model.encode_decode(inputs, [])
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max()


def test_the_adaptation_segmentors_accept_it() -> None:
    model = make()
    assert check_segmentor(model) == CLASSES
    assert [head.name for head in training_logits(model, image())] == ['decode', 'detail']


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'loss_decode': {'type': 'CrossEntropyLoss', 'use_sigmoid': True}}, 'sigmoid'),
        ({'num_classes': 1}, '1 output channels for 1 classes'),
    ],
)
def test_its_head_is_looked_at_like_any_other(changes: dict[str, Any], reason: str) -> None:
    settings = config()
    settings['decode_head'] = {'type': 'HRDAHead', 'head': {**HEAD, **changes}, 'fixed_attention': 0.5}
    with pytest.raises(ValueError, match=rf'segmentor\.decode_head\.head: DAFormerHead .*({reason})'):
        check_segmentor(MODELS.build(settings))


def test_the_feature_distance_compares_at_the_scale_of_the_context() -> None:
    model = make()
    distance = MODELS.build({'type': 'FeatureDistance', 'classes': list(range(CLASSES)), 'loss_weight': 1.0})
    distance.start_from(model.backbone)
    inputs, labels = image(), torch.zeros(2, 96, 128, dtype=torch.long)
    with recorded_features(model) as passes:
        model.loss(inputs, samples())
    assert distance(passes[0].images, passes[0].features[-1], labels).item() < 1e-5
    adapted = MODELS.build(
        {'type': 'MeanTeacherSegmentor', 'segmentor': config(), 'feature_distance': FEATURE_DISTANCE}
    )
    losses = adapted.source_branch(inputs, samples())
    assert losses['source.loss_feature_distance'].isfinite()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'crop_size': (0, 64)}, 'crop_size'),
        ({'crop_size': (64,)}, 'crop_size'),
        ({'scales': (1.0, 0.5)}, 'scales'),
        ({'scales': (0.0, 1.0)}, 'scales'),
        ({'scales': (0.25, 0.5, 1.0)}, 'scales'),
        ({'detail_loss_weight': 1.0}, 'detail_loss_weight'),
        ({'offset_divisor': 0}, 'offset_divisor'),
        ({'min_size': 0}, 'min_size'),
        ({'detail_batch_size': 0}, 'detail_batch_size'),
        ({'auxiliary_head': {'type': 'FCNHead'}}, 'auxiliary_head'),
    ],
)
def test_refuses_values_out_of_range(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MODELS.build(config(**changes))


def test_refuses_a_box_outside_the_image_and_a_foreign_head() -> None:
    with pytest.raises(ValueError, match='box'):
        make().training_logits(image(), Box(64, 64, 128, 128))
    with pytest.raises(ValueError, match='decode_head'):
        MODELS.build(config(decode_head=config()['decode_head']['head']))
