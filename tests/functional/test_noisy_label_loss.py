"""All ways to the same loss: by products, in log space, without look-up as on a GPU; in one piece and in many."""

from __future__ import annotations

import math

import pytest
import torch

from dlc_mmseg.functional import noisy_label_loss as module
from dlc_mmseg.functional.noisy_label_loss import noisy_label_loss


@pytest.fixture(params=['products', 'log space', 'no look-up'])
def way(request, monkeypatch):
    if request.param == 'log space':
        monkeypatch.setattr(module, '_by_product', lambda *_: None)
    elif request.param == 'no look-up':
        monkeypatch.setattr(module, '_by_product', lambda *_: None)
        monkeypatch.setattr(module, '_in_log_space', module._without_look_up)
    return request.param


@pytest.fixture(params=[3, 2**16], autouse=True)
def piece(request, monkeypatch):
    monkeypatch.setitem(module._PIECE, 'cpu', request.param * 4)


def case(classes=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, classes, 7, generator=generator, dtype=dtype)
    transition = torch.rand(classes, classes, generator=generator, dtype=dtype)
    transition[0, 1] = transition[2, 2] = 0
    transition = transition / transition.sum(dim=1, keepdim=True)
    labels = torch.randint(classes, (2, 7), generator=generator)
    mask = torch.rand(2, 7, generator=generator) > 0.4
    mask[1, :3] = False  # a piece that nothing is corrected in
    return logits.requires_grad_(), transition.requires_grad_(), labels, mask


def plain(logits, labels, transition, mask, smoothing):
    """The formula, by autograd."""
    probs = logits.softmax(dim=1)
    mixed = probs if transition is None else torch.einsum('bip,ij->bjp', probs, transition)
    if mask is not None:
        mixed = torch.where(mask.unsqueeze(1), mixed, probs)
    label = mixed.gather(1, labels.unsqueeze(1)).squeeze(1).log()
    return (smoothing - 1) * label - smoothing * mixed.log().mean(dim=1)


@pytest.mark.parametrize('masked', [False, True])
@pytest.mark.parametrize('smoothing', [0.0, 0.3, 1.0])
def test_value_and_gradients_with_zeros_in_t(way, smoothing, masked):
    logits, transition, labels, mask = case()
    mask = mask if masked else None
    got = noisy_label_loss(logits, labels, transition, mask, smoothing)
    expected = plain(logits, labels, transition, mask, smoothing)
    torch.testing.assert_close(got, expected)
    cotangent = torch.rand_like(got)
    for ours, theirs in zip(
        torch.autograd.grad(got, [logits, transition], cotangent),
        torch.autograd.grad(expected, [logits, transition], cotangent),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_gradcheck(way, smoothing):
    logits, transition, labels, mask = case()
    transition = (transition.detach() + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z, t: noisy_label_loss(z, labels, t, mask, smoothing), (logits, transition))


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
@pytest.mark.parametrize('classes', [6, 19, 150])
def test_many_classes_in_single_precision(way, classes, smoothing):
    logits, transition, labels, mask = case(classes)
    expected = plain(logits, labels, transition, mask, smoothing)
    (slope,) = torch.autograd.grad(expected.sum(), logits)
    single = logits.detach().float().requires_grad_()
    got = noisy_label_loss(single, labels, transition.detach().float(), mask, smoothing)
    torch.testing.assert_close(got, expected.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.autograd.grad(got.sum(), single)[0], slope.float(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_no_matrix_is_the_identity(way, smoothing):
    logits, _, labels, _ = case()
    identity = torch.eye(4, dtype=torch.float64)
    both = [noisy_label_loss(logits, labels, matrix, None, smoothing) for matrix in (None, identity)]
    torch.testing.assert_close(*both)
    torch.testing.assert_close(*(torch.autograd.grad(loss.sum(), logits)[0] for loss in both))


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_what_would_underflow_is_summed_in_log_space(smoothing):
    logits = torch.tensor([0.0, -500.0, -800.0]).view(1, 3, 1).requires_grad_()
    transition = torch.tensor([[1.0, 0, 0], [0, 0.5, 0.5], [0, 0, 1]], requires_grad=True)
    loss = noisy_label_loss(logits, torch.tensor([[2]]), transition, None, smoothing)
    half = 500 + math.log(2)
    assert loss.item() == pytest.approx((1 - smoothing) * half + smoothing * 2 * half / 3)
    gradients = torch.autograd.grad(loss.sum(), [logits, transition])
    share = 1 - smoothing + 2 * smoothing / 3  # of labels that only the second class can have
    torch.testing.assert_close(gradients[0].flatten(), torch.tensor([1 - smoothing / 3, -share, 0.0]))
    assert gradients[1].isfinite().all()


@pytest.mark.parametrize('smoothing', [0.0, 0.3])
def test_sure_pixels_that_t_does_not_apply_to_stay_exact(way, smoothing):
    logits = torch.tensor([[0.0, -90.0, -500.0], [0.2, 0.1, -0.3]]).t().unsqueeze(0).requires_grad_()
    transition = torch.tensor([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.2, 0.2, 0.6]])
    labels, mask = torch.tensor([[2, 1]]), torch.tensor([[False, True]])
    loss = noisy_label_loss(logits, labels, transition, mask, smoothing)
    assert loss[0, 0].item() == pytest.approx((1 - smoothing) * 500 + smoothing * 590 / 3)
    torch.testing.assert_close(loss[0, 1], plain(logits[..., 1:], labels[:, 1:], transition, None, smoothing)[0, 0])
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    expected = torch.tensor([1 - smoothing / 3, -smoothing / 3, smoothing - 1 - smoothing / 3])
    torch.testing.assert_close(slope[0, :, 0], expected)


def test_label_that_no_class_can_have_costs_a_constant(way):
    logits = torch.randn(1, 2, 1, requires_grad=True)
    transition = torch.tensor([[1.0, 0], [1, 0]])
    loss = noisy_label_loss(logits, torch.tensor([[1]]), transition)
    assert loss.item() == pytest.approx(-math.log(torch.finfo(torch.float32).tiny))
    assert not torch.autograd.grad(loss.sum(), logits)[0].any()
