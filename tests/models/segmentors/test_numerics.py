"""Whole training steps on data that leave nothing to learn from, or push numbers to their ends."""

from __future__ import annotations

from contextlib import contextmanager

import pytest
import torch
import toy
from mmengine.optim import OptimWrapper
from mmseg.registry import MODELS


class HalfPrecision(OptimWrapper):
    """Mixed precision on a CPU, where MMEngine's own wrapper refuses to run."""

    dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model):
        with super().optim_context(model), torch.autocast('cpu', dtype=self.dtype):
            yield


class Float16(HalfPrecision):
    """Likewise with the narrow range of 16-bit floats."""

    dtype = torch.float16


def build(**changes):
    torch.manual_seed(0)
    preprocessor = {**toy.preprocessor(), 'size': (16, 24)}
    model = MODELS.build(toy.dlc(train_transition_through_loss=True, data_preprocessor=preprocessor, **changes))
    model.init_weights()
    return model.train()


def all_ignored(_model, batch):
    for sample in batch['source']['data_samples']:
        sample.gt_sem_seg.data.fill_(255)


def one_class(_model, batch):
    for sample in batch['source']['data_samples']:
        sample.gt_sem_seg.data.fill_(1)


def flat_images(_model, batch):
    for half in batch.values():
        for image in half['inputs']:
            image.fill_(128)


def singular_matrix(model, _batch):
    model.transition.logits.copy_(torch.tensor([[3.0, 0.0, 0.0], [3.0, 0.0, 0.0], [0.0, 0.0, 3.0]]))


def matrix_of_zeros_and_ones(model, _batch):
    model.transition.logits.copy_(torch.tensor([[0.0, 1e4, 0.0], [1e4, 0.0, 0.0], [0.0, 0.0, 1e4]]))


def extreme_logits(model, _batch):
    if int(model.iteration) == 0:
        for network in (model.student, model.teacher):
            network.decode_head.conv_seg.weight.data.mul_(1e5)


def one_predicted_class(model, _batch):
    with torch.no_grad():
        model.student.decode_head.conv_seg.bias[2] = 1e4


def padding_only(_model, batch):
    batch['target']['inputs'] = [image[:, :4, :4] for image in batch['target']['inputs']]


def as_it_is(_model, _batch):
    """Nothing changed: for the arguments below."""


CASES = [
    all_ignored,
    one_class,
    flat_images,
    singular_matrix,
    matrix_of_zeros_and_ones,
    extreme_logits,
    one_predicted_class,
    padding_only,
]


def stepped(model, spoil, wrapper_type=OptimWrapper):
    """Two steps; every loss, gradient, weight and buffer must be finite."""
    wrapper = wrapper_type(torch.optim.SGD(model.student.parameters(), lr=1e-3))
    gradients = []
    wrapper.zero_grad = lambda: gradients.extend(parameter.grad for parameter in model.student.parameters())
    for seed in range(2):
        batch = toy.paired_batch(seed)
        spoil(model, batch)
        log = model.train_step(batch, wrapper)
        for name, value in log.items():
            assert value.detach().isfinite().all(), name
    assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)
    for name, value in model.state_dict().items():
        assert value.isfinite().all(), name
    return {name: float(value.detach()) for name, value in log.items()}


@pytest.mark.parametrize('wrapper_type', [OptimWrapper, HalfPrecision])
@pytest.mark.parametrize('case', CASES)
def test_steps_stay_finite(case, wrapper_type):
    stepped(build(), case, wrapper_type)


@pytest.mark.parametrize('case', [as_it_is, singular_matrix, extreme_logits])
def test_float16_stays_finite_where_the_network_does(case):
    stepped(build(), case, Float16)


@pytest.mark.parametrize('quality_weight', ['image', 'batch'])
def test_a_batch_without_a_confident_pixel_teaches_its_pasted_part(quality_weight):
    log = stepped(build(pseudo_label_threshold=1.0, quality_weight=quality_weight), as_it_is)
    assert log['target.pseudo_weight'] == 0.0
    assert log['masked.decode.loss_forward_corrected'] == 0.0
    assert log['mix.decode.loss_forward_corrected'] > 0.0


def test_nothing_labelled_and_nothing_sure_is_a_loss_of_zero():
    log = stepped(build(pseudo_label_threshold=1.0), all_ignored)
    assert log['loss'] == 0.0


def test_a_matrix_that_is_singular_gets_no_gradient_from_its_volume():
    model = build(convexity_loss=None)
    singular_matrix(model, None)
    log = stepped(model, as_it_is)
    assert log['transition.volume'] < 0
