from __future__ import annotations

import re
from typing import Any

import legacy_network as legacy
import pytest
import torch
from mmengine.config import ConfigDict
from mmseg.registry import MODELS

from dlc_mmseg.deploy.legacy.conversion import convert_state_dict
from dlc_mmseg.errors import UserError

CLASSES = 5
SHAPES = legacy.segmentor_shapes(classes=CLASSES)


def adaptation_state(**changes: Any) -> dict[str, torch.Tensor]:
    return legacy.uda_state(SHAPES, **{'classes': CLASSES, **changes})


def segmentor_config() -> dict[str, Any]:
    return convert_state_dict(legacy.random_state(SHAPES)).architecture


def adaptation_model(**changes: Any) -> torch.nn.Module:
    transition = {'type': 'NoiseTransitionMatrix', 'estimator': 'ConsensusEstimator'}  # as in the published rows
    config = {'type': 'DLCSegmentor', 'segmentor': segmentor_config(), 'transition': transition}
    return MODELS.build(ConfigDict({**config, **changes}))


def part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def check_total(conversion, source: dict[str, torch.Tensor]) -> None:
    """Every source key is accounted for exactly once."""
    taken = [name for names in conversion.origin.values() for name in names]
    assert len(taken) == len(set(taken))
    assert set(taken) | set(conversion.dropped) == set(source)
    assert not set(taken) & set(conversion.dropped)
    assert set(conversion.state) == set(conversion.origin) | set(conversion.fresh)
    assert all(conversion.dropped.values())


# ---- what lands where --------------------------------------------------------------------------------------------


@pytest.mark.parametrize('with_model', [False, True])
def test_an_adaptation_checkpoint_fills_the_whole_model(with_model: bool) -> None:
    source, model = adaptation_state(), adaptation_model()
    conversion = convert_state_dict(source, model if with_model else None, iteration=10000)
    assert conversion.kind == 'adaptation'
    check_total(conversion, source)
    model.load_state_dict(conversion.state, strict=True)
    inputs = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        for network, prefix in ((model.student, 'model.'), (model.teacher, 'ema_model.')):
            expected = legacy.hrda_test(part(source, prefix), inputs, (256, 256))
            torch.testing.assert_close(network.eval().encode_decode(inputs, []), expected, rtol=0, atol=2e-5)
    torch.testing.assert_close(model.transition(), source['ntm_correct.ntm'].softmax(1))
    torch.testing.assert_close(model.transition.prior, source['ntm_correct.posterior'].flatten().softmax(0))
    assert model.iteration.item() == 10000
    assert 'iteration' in conversion.fresh
    assert {key for key in source if key.startswith(('imnet_model.', 'ntm_correct.convex_matrix.'))} == set(
        conversion.dropped
    )


def test_without_a_transition_matrix_there_is_none() -> None:
    source = adaptation_state(classes=None)
    conversion = convert_state_dict(source)
    check_total(conversion, source)
    assert not [key for key in conversion.state if key.startswith('transition.')]
    assert conversion.fresh == ['iteration']


def test_a_plain_model_takes_the_student_of_an_adaptation() -> None:
    source, model = adaptation_state(), MODELS.build(segmentor_config())
    conversion = convert_state_dict(source, model)
    check_total(conversion, source)
    model.load_state_dict(conversion.state, strict=True)
    expected = convert_state_dict(part(source, 'model.')).state
    assert all(torch.equal(value, expected[key]) for key, value in conversion.state.items())
    assert conversion.dropped['ntm_correct.ntm'] == 'the model has no transition matrix'
    assert conversion.dropped['ema_model.backbone.norm1.weight'] == 'the model has no teacher'


def test_the_imagenet_reference_goes_to_the_feature_distance() -> None:
    source = adaptation_state()
    model = adaptation_model(feature_distance={'type': 'FeatureDistance', 'classes': [1]})
    conversion = convert_state_dict(source, model)
    check_total(conversion, source)
    model.load_state_dict(conversion.state, strict=True)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        ours = model.feature_distance.backbone(images)
    theirs = legacy.encoder(part(source, 'imnet_model.'), images)
    torch.testing.assert_close(ours[-1], theirs[-1], rtol=0, atol=2e-5)
    assert {key for key in conversion.dropped if key.startswith('imnet_model.')} == {
        key for key in source if key.startswith('imnet_model.decode_head.')
    }


@pytest.mark.parametrize('hrda', [True, False])
@pytest.mark.parametrize('prefix', ['', 'model.'])
def test_one_segmentor_keeps_plain_keys(hrda: bool, prefix: str) -> None:
    shapes = legacy.segmentor_shapes(classes=3, hrda=hrda)
    state = legacy.random_state(shapes)
    source = {prefix + key: value for key, value in state.items()}
    conversion = convert_state_dict(source)
    assert conversion.kind == 'segmentor'
    assert conversion.architecture['type'] == ('HRDAEncoderDecoder' if hrda else 'EncoderDecoder')
    check_total(conversion, source)
    model = MODELS.build(conversion.architecture).eval()
    model.load_state_dict(conversion.state, strict=True)
    if not hrda:
        inputs = torch.randn(2, 3, 72, 88)
        meta = [{'img_shape': (72, 88), 'pad_shape': (72, 88)}] * 2
        with torch.no_grad():
            torch.testing.assert_close(
                model.encode_decode(inputs, meta), legacy.daformer(state, inputs), rtol=0, atol=2e-5
            )


def test_a_segmentor_fits_the_config_of_an_adaptation() -> None:
    state = legacy.random_state(SHAPES)
    conversion = convert_state_dict(state, adaptation_model())
    check_total(conversion, state)
    model = adaptation_model()
    model.load_state_dict(conversion.state)  # plain keys start both networks
    for network in (model.student, model.teacher):
        assert torch.equal(network.decode_head.head.conv_seg.weight, state['decode_head.head.conv_seg.weight'])


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
@pytest.mark.parametrize('with_model', [False, True])
def test_imagenet_weights_lose_their_classifier(prefix: str, with_model: bool) -> None:
    state = legacy.random_state(legacy.backbone_shapes(8, (1, 1, 1, 1)))
    source = {prefix + key: value for key, value in state.items()}
    source[f'{prefix}head.weight'], source[f'{prefix}head.bias'] = torch.zeros(1000, 64), torch.zeros(1000)
    conversion = convert_state_dict(source, adaptation_model() if with_model else None)
    assert conversion.kind == 'backbone'
    check_total(conversion, source)
    assert set(conversion.dropped) == {f'{prefix}head.weight', f'{prefix}head.bias'}
    backbone = MODELS.build(conversion.architecture)
    backbone.load_state_dict(part(conversion.state, prefix), strict=True)


# ---- architectures from shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'width', 'depths'),
    [
        ('MiT-B0', 32, (2, 2, 2, 2)),
        ('MiT-B1', 64, (2, 2, 2, 2)),
        ('MiT-B2', 64, (3, 4, 6, 3)),
        ('MiT-B3', 64, (3, 4, 18, 3)),
        ('MiT-B4', 64, (3, 8, 27, 3)),
        ('MiT-B5', 64, (3, 6, 40, 3)),
    ],
)
def test_every_published_encoder_is_recognised(name: str, width: int, depths: tuple[int, ...]) -> None:
    shapes = legacy.backbone_shapes(width, depths)
    conversion = convert_state_dict({key: torch.zeros(shape) for key, shape in shapes.items()})
    assert conversion.description == f'backbone checkpoint, {name}'
    assert conversion.architecture['num_layers'] == list(depths)
    assert conversion.architecture['sr_ratios'] == [8, 4, 2, 1]


@pytest.mark.slow
def test_mit_b5_gives_the_same_logits() -> None:
    shapes = legacy.segmentor_shapes(64, (3, 6, 40, 3), 7, hrda=False, channels=16, embed=16)
    state = legacy.random_state(shapes)
    conversion = convert_state_dict(state)
    assert conversion.description == 'segmentor checkpoint, MiT-B5, DAFormer, 7 classes'
    model = MODELS.build(conversion.architecture).eval()
    model.load_state_dict(conversion.state)
    inputs = torch.randn(2, 3, 72, 104)
    with torch.no_grad():
        logits = model.encode_decode(inputs, [{'img_shape': (72, 104), 'pad_shape': (72, 104)}])
    torch.testing.assert_close(logits, legacy.daformer(state, inputs), rtol=0, atol=5e-5)


@pytest.mark.parametrize(('attention_classes', 'words'), [(None, 'class-wise attention'), (1, 'shared attention')])
def test_the_kind_of_attention_is_recognised(attention_classes: int | None, words: str) -> None:
    shapes = legacy.segmentor_shapes(classes=4, attention_classes=attention_classes)
    conversion = convert_state_dict(legacy.random_state(shapes))
    assert conversion.description.endswith(f'HRDA with {words}, 4 classes')
    shapes = {key: shape for key, shape in shapes.items() if 'scale_attention' not in key}
    assert 'HRDA with fixed attention' in convert_state_dict(legacy.random_state(shapes)).description


def test_image_channels_are_read() -> None:
    shapes = legacy.backbone_shapes(8, (1, 1, 1, 1), channels=4)
    assert convert_state_dict(legacy.random_state(shapes)).architecture['in_channels'] == 4


# ---- refusals ----------------------------------------------------------------------------------------------------


def refuse(state: dict[str, torch.Tensor], *words: str, model: torch.nn.Module | None = None) -> None:
    with pytest.raises(UserError) as caught:
        convert_state_dict(state, model)
    message = str(caught.value)
    assert '\n' not in message
    for word in words:
        assert word in message


def test_refuses_keys_it_does_not_know() -> None:
    refuse(adaptation_state() | {'model.backbone.pos_embed': torch.zeros(1)}, 'model.backbone.pos_embed')
    refuse(adaptation_state() | {'debug.x': torch.zeros(1)}, 'debug.x is not known')
    refuse(legacy.random_state(SHAPES) | {'auxiliary_head.conv_seg.bias': torch.zeros(1)}, 'auxiliary_head')
    refuse(legacy.random_state(SHAPES) | {'decode_head.head.conv_seg.extra': torch.zeros(1)}, 'no place')


def test_refuses_gaps() -> None:
    for key in ('backbone.block2.0.mlp.fc1.bias', 'decode_head.head.fuse_layer.aspp_modules.2.pointwise_conv.bn.bias'):
        state = legacy.random_state(SHAPES)
        del state[key]
        refuse(state, 'nothing fills')
    state = adaptation_state()
    del state['ema_model.backbone.norm4.weight']
    refuse(state, 'nothing fills teacher.backbone.layers.3.2.weight')
    state = legacy.random_state(SHAPES)
    del state['backbone.block1.0.attn.kv.weight']
    refuse(state, 'backbone.block1.0.attn.q.weight', 'other half')
    state = legacy.random_state(SHAPES)
    del state['backbone.patch_embed3.proj.weight']
    refuse(state, 'layers.2.0.projection.weight')
    state = adaptation_state()
    del state['ntm_correct.posterior']
    refuse(state, 'nothing fills transition.prior_logits')


def test_refuses_shapes_that_do_not_fit() -> None:
    state = legacy.random_state(SHAPES)
    state['backbone.block1.0.attn.kv.weight'] = torch.zeros(8, 8)
    refuse(state, 'attn.kv.weight', '(8, 8)')
    state = adaptation_state()
    state['ema_model.decode_head.head.conv_seg.bias'] = torch.zeros(CLASSES + 1)
    refuse(state, 'ema_model.decode_head.head.conv_seg.bias gives shape (6,), not (5,)')
    state = adaptation_state()
    state['ntm_correct.ntm'] = torch.zeros(CLASSES, CLASSES + 1)
    refuse(state, 'ntm_correct.ntm gives shape (5, 6), not (5, 5)')


def test_refuses_a_config_with_other_classes_or_parts() -> None:
    other = convert_state_dict(legacy.random_state(legacy.segmentor_shapes(classes=7))).architecture
    refuse(adaptation_state(), 'conv_seg.weight', 'the config', 'more', model=MODELS.build(other))
    refuse(adaptation_state(classes=None), 'nothing fills transition.logits', model=adaptation_model())
    plain = convert_state_dict(legacy.random_state(legacy.segmentor_shapes(classes=5, hrda=False))).architecture
    refuse(adaptation_state(), 'model.decode_head.head', model=MODELS.build(plain))


def test_names_only_the_first_keys_that_do_not_fit() -> None:
    state = {re.sub(r'mlp\.fc1', 'mlp.dense1', key): value for key, value in legacy.random_state(SHAPES).items()}
    with pytest.raises(UserError, match=r'ffn\.layers\.0\.weight') as caught:
        convert_state_dict(state)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    'keys',
    [
        ['backbone.layers.0.0.projection.weight', 'decode_head_x.weight'],
        ['student.backbone.layers.0.0.projection.weight', 'teacher.x'],
        ['layer1.0.conv1.weight', 'fc.bias'],
    ],
)
def test_refuses_other_checkpoints(keys: list[str]) -> None:
    refuse({key: torch.zeros(1) for key in keys}, keys[0], 'need no conversion')
