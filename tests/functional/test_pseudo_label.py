"""Pseudo-labels, quality weights and margins."""

from __future__ import annotations

import pytest
import torch

from dlc_mmseg.functional import pseudo_labels


def _logits_with_confident_share(shares, threshold):
    """One image per share: that share of 4 x 5 pixels just reaches the threshold, the rest does not."""
    logits = torch.zeros(len(shares), 2, 20)
    for image, share in zip(logits, shares, strict=True):
        count = round(share * 20)
        image[1, :count] = torch.logit(torch.tensor(threshold + 0.01))
        image[0, count:] = torch.logit(torch.tensor(threshold - 0.01))
    return logits.view(-1, 2, 4, 5)


def test_weight_is_the_share_of_confident_pixels():
    logits = _logits_with_confident_share([0.25, 0.75], 0.9)
    each = pseudo_labels(logits, threshold=0.9)
    torch.testing.assert_close(each.weight, torch.tensor([0.25, 0.75]).view(2, 1, 1).expand(2, 4, 5))
    whole = pseudo_labels(logits, threshold=0.9, per_image=False)
    torch.testing.assert_close(whole.weight, torch.full((2, 4, 5), 0.5))
    for result in (each, whole):
        assert torch.equal(result.labels, logits.argmax(dim=1))
        assert result.labels.dtype == torch.long
        torch.testing.assert_close(result.confidence, logits.softmax(dim=1).amax(dim=1))


def test_threshold_is_inclusive():
    logits = torch.zeros(1, 2, 3, 3)
    assert (pseudo_labels(logits, threshold=0.5).weight == 1).all()
    assert (pseudo_labels(logits, threshold=0.501).weight == 0).all()


def test_margins_weigh_nothing_and_keep_their_labels():
    logits = torch.randn(2, 3, 10, 8, generator=torch.Generator().manual_seed(0))
    plain = pseudo_labels(logits, threshold=0.4)
    cut = pseudo_labels(logits, threshold=0.4, margins=(1, 2, 3, 4))
    inside = torch.zeros(10, 8, dtype=torch.bool)
    inside[1:8, 3:4] = True
    assert torch.equal(cut.labels, plain.labels)
    assert torch.equal(cut.weight[:, inside], plain.weight[:, inside])
    assert not cut.weight[:, ~inside].any()
    assert plain.weight.gt(0).all()


@pytest.mark.parametrize('per_image', [False, True])
def test_padding_weighs_nothing_and_counts_in_no_share(per_image):
    logits = torch.randn(2, 3, 10, 8, generator=torch.Generator().manual_seed(0))
    valid = torch.ones(2, 10, 8, dtype=torch.bool)
    valid[1, 6:] = valid[1, :, 5:] = False
    padded = pseudo_labels(logits, threshold=0.6, per_image=per_image, valid=valid)
    alone = [pseudo_labels(logits[:1], threshold=0.6), pseudo_labels(logits[1:, :, :6, :5], threshold=0.6)]
    shares = [image.weight.mean() for image in alone]
    if not per_image:
        shares = 2 * [(80 * shares[0] + 30 * shares[1]) / 110]
    torch.testing.assert_close(padded.weight, valid * torch.stack(shares).view(2, 1, 1))
    assert not pseudo_labels(logits, threshold=0.1, valid=torch.zeros_like(valid)).weight.any()
    with pytest.raises(ValueError, match='valid has shape'):
        pseudo_labels(logits, threshold=0.6, valid=valid[:1])


def test_published_margins_leave_42_percent_of_a_tile():
    result = pseudo_labels(torch.zeros(1, 2, 512, 512), threshold=0.0, margins=(30, 240, 30, 30))
    assert result.weight.mean().item() == pytest.approx(0.42, abs=0.01)


@pytest.mark.parametrize('margins', [(6, 4, 0, 0), (0, 0, 20, 0), (0, 0, 4, 4), (-1, 0, 0, 0)])
def test_margins_that_leave_nothing_are_refused(margins):
    with pytest.raises(ValueError, match='margins'):
        pseudo_labels(torch.zeros(1, 2, 10, 8), threshold=0.5, margins=margins)


@pytest.mark.parametrize('threshold', [-0.1, 1.1])
def test_threshold_must_be_a_probability(threshold):
    with pytest.raises(ValueError, match='threshold'):
        pseudo_labels(torch.zeros(1, 2, 4, 4), threshold=threshold)


def test_no_gradient_and_float32_for_half_precision():
    logits = torch.randn(1, 3, 4, 4, dtype=torch.bfloat16).requires_grad_()
    result = pseudo_labels(logits, threshold=0.5)
    assert result.confidence.dtype == result.weight.dtype == torch.float32
    assert not result.confidence.requires_grad
    torch.testing.assert_close(result.confidence, logits.detach().float().softmax(dim=1).amax(dim=1))
