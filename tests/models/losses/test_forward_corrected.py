"""The corrected loss as a module, and inside real MMSegmentation heads."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from dlc_mmseg.functional import forward_corrected_cross_entropy
from dlc_mmseg.models.losses import ForwardCorrectedCrossEntropyLoss

TRANSITION = [[0.8, 0.2, 0.0], [0.1, 0.9, 0.0], [0.0, 0.3, 0.7]]


def _batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 6, 5, generator=generator, requires_grad=True)
    labels = torch.randint(3, (2, 6, 5), generator=generator)
    labels[0, :2] = 255
    return logits, labels


def test_forward_is_the_function_times_the_weight():
    logits, labels = _batch()
    mask, weight = labels == 1, torch.rand(2, 6, 5)
    loss = MODELS.build(
        {
            'type': 'ForwardCorrectedCrossEntropyLoss',
            'label_smoothing': 0.02,
            'ce_weight': 0.8,
            'reduction': 'valid_mean',
            'loss_weight': 3.0,
        }
    )
    transition = torch.tensor(TRANSITION, requires_grad=True)
    ours = loss(logits, labels, transition, transition_mask=mask, weight=weight)
    expected = 3 * forward_corrected_cross_entropy(
        logits,
        labels,
        transition,
        transition_mask=mask,
        weight=weight,
        label_smoothing=0.02,
        ce_weight=0.8,
        reduction='valid_mean',
    )
    torch.testing.assert_close(ours, expected)
    assert all(grad.any() for grad in torch.autograd.grad(ours, [logits, transition]))


def test_fixed_transition_of_a_config_moves_with_the_module_and_yields_to_the_call():
    logits, labels = _batch()
    loss = ForwardCorrectedCrossEntropyLoss(transition=TRANSITION)
    plain = ForwardCorrectedCrossEntropyLoss()
    matrix = torch.tensor(TRANSITION)
    torch.testing.assert_close(loss(logits, labels), plain(logits, labels, matrix))
    torch.testing.assert_close(loss(logits, labels, torch.eye(3)), plain(logits, labels))
    assert loss.to(torch.float64).transition.dtype == torch.float64
    assert not loss.state_dict()


@pytest.mark.parametrize('ignore_index', [255, None])
@pytest.mark.parametrize('transition', [None, TRANSITION])
def test_loss_of_a_real_head(transition, ignore_index):
    torch.manual_seed(0)
    head = FCNHead(
        in_channels=4,
        channels=4,
        num_classes=3,
        num_convs=1,
        norm_cfg={'type': 'BN'},
        ignore_index=ignore_index,
        loss_decode=[
            {'type': 'ForwardCorrectedCrossEntropyLoss', 'transition': transition, 'label_smoothing': 0.1},
            {'type': 'CrossEntropyLoss', 'loss_weight': 0.5},
        ][: 1 if ignore_index is None else 2],
    )
    labels = torch.randint(3, (2, 1, 16, 16))
    if ignore_index is not None:
        labels[:, :, :4] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
    losses = head.loss([torch.randn(2, 4, 8, 8)], samples, {})
    assert 'loss_forward_corrected' in losses
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    assert head.conv_seg.weight.grad.isfinite().all()
    assert head.conv_seg.weight.grad.any()


def test_equals_the_cross_entropy_of_mmseg_without_a_transition():
    logits, labels = _batch()
    theirs = MODELS.build({'type': 'CrossEntropyLoss'})(logits, labels, ignore_index=255)
    torch.testing.assert_close(ForwardCorrectedCrossEntropyLoss()(logits, labels), theirs)
    valid = MODELS.build({'type': 'CrossEntropyLoss', 'avg_non_ignore': True})(logits, labels, ignore_index=255)
    torch.testing.assert_close(ForwardCorrectedCrossEntropyLoss(reduction='valid_mean')(logits, labels), valid)


def test_works_with_the_pixel_sampler_of_mmseg():
    head = FCNHead(
        in_channels=4,
        channels=4,
        num_classes=3,
        num_convs=1,
        norm_cfg={'type': 'BN'},
        sampler={'type': 'OHEMPixelSampler', 'min_kept': 20},
        loss_decode={'type': 'ForwardCorrectedCrossEntropyLoss', 'transition': TRANSITION},
    )
    samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(3, (1, 8, 8)))) for _ in range(2)]
    losses = head.loss([torch.randn(2, 4, 8, 8)], samples, {})
    assert losses['loss_forward_corrected'].isfinite()


def test_names():
    assert ForwardCorrectedCrossEntropyLoss().loss_name == 'loss_forward_corrected'
    assert ForwardCorrectedCrossEntropyLoss(loss_name='loss_noisy').loss_name == 'loss_noisy'


@pytest.mark.parametrize(
    ('arguments', 'match'),
    [
        ({'label_smoothing': 2}, 'label_smoothing'),
        ({'ce_weight': -1}, 'ce_weight'),
        ({'reduction': 'average'}, 'reduction'),
        ({'loss_weight': -1}, 'loss_weight'),
        ({'transition': [[1, 0], [1]]}, 'lengths'),
        ({'transition': [[0.9, 0.2], [0.0, 1.0]]}, r'sum to \[1.1, 1.0\]'),
        ({'transition': [[1.5, -0.5], [0.0, 1.0]]}, '>= 0'),
    ],
)
def test_wrong_arguments_are_named(arguments, match):
    with pytest.raises(ValueError, match=match):
        ForwardCorrectedCrossEntropyLoss(**arguments)


@pytest.mark.parametrize('as_file', [False, True])
def test_class_weights_of_the_config_or_of_a_file(as_file, tmp_path):
    weights = [1.0, 0.0, 4.0]
    (tmp_path / 'weights.json').write_text(str(weights), encoding='utf-8')
    logits, labels = _batch()
    given = str(tmp_path / 'weights.json') if as_file else weights
    loss = MODELS.build({'type': 'ForwardCorrectedCrossEntropyLoss', 'class_weight': given})
    expected = forward_corrected_cross_entropy(logits, labels, None, class_weight=torch.tensor(weights))
    torch.testing.assert_close(loss(logits, labels), expected)
    assert not loss.state_dict()  # checkpoints stay as they were


@pytest.mark.parametrize('weights', [[1.0, -1.0], [float('nan'), 1.0], [[1.0]], 3.0])
def test_class_weights_that_are_none_are_refused(weights):
    with pytest.raises(ValueError, match=r'class_weight is .*: give a number >= 0 for each class'):
        ForwardCorrectedCrossEntropyLoss(class_weight=weights)
