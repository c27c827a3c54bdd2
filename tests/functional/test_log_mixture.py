"""Both ways to mix probabilities: by a matrix product and in log space."""

from __future__ import annotations

import math

import pytest
import torch

from dlc_mmseg.functional import log_mixture as module

WAYS = {'product': 0.0, 'log space': math.inf}


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    monkeypatch.setattr(module, '_SAFE', WAYS[request.param])
    return request.param


def _case(classes=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, classes, 7, generator=generator, dtype=dtype)
    transition = torch.rand(classes, classes, generator=generator, dtype=dtype)
    transition[0, 1] = transition[2, 2] = 0
    transition = transition / transition.sum(dim=1, keepdim=True)
    labels = torch.randint(classes, (2, 7), generator=generator)
    return logits.log_softmax(dim=1).requires_grad_(), transition.requires_grad_(), labels


@pytest.mark.parametrize('all_classes', [False, True])
def test_value_and_gradients_with_zeros_in_t(way, all_classes):
    log_probs, transition, labels = _case()
    mixed = module.log_mixture(log_probs, transition, None if all_classes else labels)
    plain = torch.einsum('bip,ij->bjp', log_probs.exp(), transition).log()
    if not all_classes:
        plain = plain.gather(1, labels.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(mixed, plain)
    cotangent = torch.rand_like(mixed)
    for got, expected in zip(
        torch.autograd.grad(mixed, [log_probs, transition], cotangent),
        torch.autograd.grad(plain, [log_probs, transition], cotangent),
        strict=True,
    ):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize('all_classes', [False, True])
def test_gradcheck(way, all_classes):
    log_probs, transition, labels = _case()
    transition = (transition.detach() + 0.1).requires_grad_()
    chosen = None if all_classes else labels
    assert torch.autograd.gradcheck(lambda p, t: module.log_mixture(p, t, chosen), (log_probs, transition))


def test_no_matrix_is_the_identity():
    log_probs, _, labels = _case()
    identity = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(module.log_mixture(log_probs, None), module.log_mixture(log_probs, identity))
    torch.testing.assert_close(
        module.log_mixture(log_probs, None, labels), module.log_mixture(log_probs, identity, labels)
    )


@pytest.mark.parametrize('all_classes', [False, True])
def test_what_would_underflow_is_summed_in_log_space(all_classes):
    log_probs = torch.tensor([0.0, -500.0, -800.0]).view(1, 3, 1).requires_grad_()
    transition = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], requires_grad=True)
    label = None if all_classes else torch.tensor([[2]])
    mixed = module.log_mixture(log_probs, transition, label)
    expected = torch.tensor([0, -500 + math.log(0.5), -500 + math.log(0.5)])
    torch.testing.assert_close(mixed.flatten(), expected if all_classes else expected[2:])
    for gradient in torch.autograd.grad(mixed.sum(), [log_probs, transition]):
        assert gradient.isfinite().all()


def test_label_that_no_class_can_have_costs_a_constant():
    log_probs = torch.zeros(1, 2, 1).log_softmax(dim=1).requires_grad_()
    transition = torch.tensor([[1.0, 0], [1, 0]])
    mixed = module.log_mixture(log_probs, transition, torch.tensor([[1]]))
    assert mixed.item() == pytest.approx(math.log(torch.finfo(torch.float32).tiny))
    assert not torch.autograd.grad(mixed.sum(), log_probs)[0].any()
