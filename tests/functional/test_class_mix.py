"""ClassMix masks and mixing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc_mmseg.functional import class_mix_mask, mix


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


@settings(max_examples=50, deadline=None)
@given(classes=st.integers(1, 8), batch=st.integers(1, 4), seed=st.integers(0, 10_000))
def test_half_of_the_classes_of_each_image_rounded_up(classes, batch, seed):
    labels = torch.randint(classes, (batch, 3, 4), generator=_generator(seed))
    labels[torch.rand(labels.shape, generator=_generator(seed + 1)) < 0.3] = 255
    mask = class_mix_mask(labels, classes, generator=_generator(seed))
    assert mask.shape == labels.shape
    assert mask.dtype == torch.bool
    assert not mask[labels == 255].any()
    for image, pasted in zip(labels, mask, strict=True):
        present = set(image[image != 255].tolist())
        chosen = set(image[pasted].tolist())
        assert len(chosen) == (len(present) + 1) // 2
        assert torch.equal(pasted, torch.isin(image, torch.tensor(sorted(chosen), dtype=torch.long)))


def test_classes_of_other_images_do_not_matter():
    labels = torch.stack([torch.full((4, 4), 1), torch.arange(16).view(4, 4) % 6])
    for seed in range(20):
        mask = class_mix_mask(labels, 6, generator=_generator(seed))
        assert mask[0].all()
        assert len(labels[1][mask[1]].unique()) == 3


def test_every_class_is_drawn_equally_often():
    labels = (torch.arange(4).repeat_interleave(2)).view(1, 2, 4).expand(4000, -1, -1)
    mask = class_mix_mask(labels, 4, generator=_generator())
    shares = torch.stack([mask[labels == k].float().mean() for k in range(4)])
    torch.testing.assert_close(shares, torch.full((4,), 0.5), atol=0.03, rtol=0)


def test_image_without_a_class_pastes_nothing():
    assert not class_mix_mask(torch.full((2, 3, 3), 255), 6).any()
    assert not class_mix_mask(torch.full((2, 3, 3), -1), 6).any()


def test_ignored_class_and_small_integers():
    labels = torch.tensor([[[0, 0, 1]]], dtype=torch.uint8)
    assert class_mix_mask(labels, 2, ignore_index=0).tolist() == [[[False, False, True]]]


def test_generator_decides():
    labels = torch.arange(64).view(1, 8, 8) % 6
    first, again, other = (class_mix_mask(labels, 6, generator=_generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize('channels', [1, 3, 5])
def test_mix_of_images_labels_and_weights(channels):
    mask = torch.rand(2, 4, 4, generator=_generator()) > 0.5
    source, target = torch.randn(2, channels, 4, 4), torch.randn(2, channels, 4, 4)
    mixed = mix(mask, source, target)
    for c in range(channels):
        assert torch.equal(mixed[:, c][mask], source[:, c][mask])
        assert torch.equal(mixed[:, c][~mask], target[:, c][~mask])
    labels = mix(mask, torch.zeros(2, 4, 4).long(), torch.ones(2, 4, 4).long())
    assert torch.equal(labels, (~mask).long())


def test_shapes_that_do_not_fit_are_refused():
    mask = torch.ones(2, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match='mask'):
        mix(mask, torch.ones(2, 3, 4, 5), torch.ones(2, 3, 4, 5))
    with pytest.raises(ValueError, match='target'):
        mix(mask, torch.ones(2, 3, 4, 4), torch.ones(2, 1, 4, 4))
    with pytest.raises(ValueError, match='labels'):
        class_mix_mask(torch.ones(2, 1, 4, 4), 3)
    with pytest.raises(ValueError, match='num_classes'):
        class_mix_mask(torch.ones(2, 4, 4), 0)
