from __future__ import annotations

import pytest
import torch
import toy
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from dlc_mmseg.deploy.maps.window_classifier import WindowClassifier


def plain(**changes):
    init_default_scope('mmseg')
    torch.manual_seed(0)
    config = toy.segmentor()
    config.data_preprocessor = {
        'type': 'SegDataPreProcessor',
        'mean': [120.0, 110, 100],
        'std': [50.0, 60, 70],
        'bgr_to_rgb': True,
    }
    config.decode_head.update(changes)
    return MODELS.build(config).eval()


def images(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 255, (2, 3, 32, 32), generator=torch.Generator().manual_seed(seed)).float()


NOWHERE = torch.zeros(2, 32, 32, dtype=torch.bool)


@pytest.mark.parametrize('wrapped', [False, True])
def test_probabilities_are_those_of_the_model_itself(wrapped):
    model = MODELS.build(toy.dlc(predict_with='teacher')).eval() if wrapped else plain()
    found = WindowClassifier(model)(images(), NOWHERE)
    with torch.no_grad():
        for image, probabilities in zip(images(), found, strict=True):
            sample = SegDataSample(metainfo={'ori_shape': (32, 32), 'img_shape': (32, 32), 'pad_shape': (32, 32)})
            predicted = model.test_step({'inputs': [image], 'data_samples': [sample]})[0]
            torch.testing.assert_close(probabilities, predicted.seg_logits.data.softmax(0))


def test_averages_do_not_depend_on_how_the_image_lies():
    classify = WindowClassifier(plain(), averaging='d4')
    reference = classify(images(), NOWHERE)
    for turns in range(4):
        for flipped in (False, True):
            turned = images().flip(3) if flipped else images()
            found = classify(turned.rot90(turns, (2, 3)), NOWHERE).rot90(-turns, (2, 3))
            torch.testing.assert_close(found.flip(3) if flipped else found, reference)
    assert (WindowClassifier(plain())(images(), NOWHERE) - reference).abs().max() > 1e-3
    flips = WindowClassifier(plain(), averaging='flips')
    torch.testing.assert_close(flips(images().flip(2), NOWHERE).flip(2), flips(images(), NOWHERE))


def test_values_without_data_do_not_matter():
    nodata = NOWHERE.clone()
    nodata[:, 5:20, 3:9] = True
    classify = WindowClassifier(plain())
    first, second = images(), images()
    first.masked_fill_(nodata[:, None], float('nan'))
    second.masked_fill_(nodata[:, None], 9000)
    torch.testing.assert_close(classify(first, nodata), classify(second, nodata))
    assert classify(first, nodata).isfinite().all()


def test_one_channel_of_scores_means_two_classes():
    classify = WindowClassifier(
        plain(
            out_channels=1, num_classes=2, threshold=0.3, loss_decode={'type': 'CrossEntropyLoss', 'use_sigmoid': True}
        )
    )
    assert classify.num_classes == 2
    found = classify(images(), NOWHERE)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 32, 32))
    assert torch.equal(classify.decide(found[0]), (found[0, 1] > 0.3).long())


def test_padding_of_the_preprocessor_is_cut_off():
    model = plain()
    model.data_preprocessor.test_cfg = {'size_divisor': 24}
    assert WindowClassifier(model)(images(), NOWHERE).shape == (2, toy.NUM_CLASSES, 32, 32)


def test_half_precision_is_close():
    model = plain()
    difference = WindowClassifier(model, amp=True)(images(), NOWHERE) - WindowClassifier(model)(images(), NOWHERE)
    assert 0 < difference.abs().max() < 0.05


def test_unknown_averaging():
    with pytest.raises(ValueError, match='averaging'):
        WindowClassifier(plain(), averaging='all')
