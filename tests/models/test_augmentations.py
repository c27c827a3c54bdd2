"""ClassMix, masking and strong augmentation: values, draws and ranges."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from scipy.ndimage import gaussian_filter


def class_mix(**changes):
    return MODELS.build({'type': 'ClassMix', **changes})


def masking(**changes):
    return MODELS.build({'type': 'MaskedImageConsistency', **changes})


def strong(**changes):
    return MODELS.build({'type': 'StrongAugmentation', **changes})


MEAN, STD = torch.full((1, 1, 1), 100.0), torch.full((1, 1, 1), 50.0)


def normalised(plain):
    return (plain * 255 - MEAN) / STD


def restored(images):
    return (images * STD + MEAN) / 255


# ---- ClassMix ------------------------------------------------------------------------------------


def test_mixed_pixels_carry_image_label_and_weight_of_one_domain():
    torch.manual_seed(0)
    source, target = torch.randn(2, 3, 6, 8), torch.randn(2, 3, 6, 8)
    labels = torch.randint(0, 4, (2, 6, 8))
    labels[:, 0] = 255
    pseudo, weight = torch.randint(0, 4, (2, 6, 8)), torch.rand(2, 6, 8) * 0.5
    mixed = class_mix()(source, labels, target, pseudo, weight, 4)
    assert mixed.pasted.any()
    assert not mixed.pasted[:, 0].any()
    for row in np.ndindex(2, 6, 8):
        pasted = bool(mixed.pasted[row])
        image, row_index, column = row
        expected = (source if pasted else target)[image, :, row_index, column]
        assert torch.equal(mixed.images[image, :, row_index, column], expected)
        assert mixed.labels[row] == (labels if pasted else pseudo)[row]
        assert mixed.weight[row] == (1.0 if pasted else weight[row])


def test_half_of_the_classes_of_each_image_or_of_the_batch():
    labels = torch.stack([torch.zeros(4, 4), torch.ones(4, 4)]).long()
    for _ in range(5):
        assert class_mix().draw(labels, 2).all()  # the one class of each image
        pasted = class_mix(per_image=False).draw(labels, 2).flatten(1)
        assert pasted.all(dim=1).sum() == 1  # one of the batch's two classes
        assert pasted.any(dim=1).sum() == 1


def test_ignored_labels_are_never_pasted():
    labels = torch.full((2, 4, 4), 255)
    assert not class_mix().draw(labels, 3).any()
    assert not class_mix(ignore_index=1).draw(torch.ones(2, 4, 4).long(), 3).any()


def test_class_mix_refuses_a_negative_weight():
    with pytest.raises(ValueError, match='loss_weight'):
        class_mix(loss_weight=-1.0)


# ---- masking -------------------------------------------------------------------------------------


def test_whole_blocks_are_hidden_in_all_channels():
    torch.manual_seed(0)
    images = torch.rand(3, 4, 20, 28) + 1
    masked = masking(mask_ratio=0.5, block_size=8)(images)
    kept = masked.ne(0)
    assert torch.equal(masked, images * kept)
    assert (kept == kept[:, :1]).all()
    for top in range(0, 20, 8):
        for left in range(0, 28, 8):
            block = kept[:, 0, top : top + 8, left : left + 8].flatten(1)
            assert (block.all(dim=1) | (~block).all(dim=1)).all()
    assert len({str(mask.tolist()) for mask in kept}) == 3  # each image has a mask of its own


@pytest.mark.parametrize('ratio', [0.0, 0.3, 0.7])
def test_share_of_hidden_blocks(ratio):
    torch.manual_seed(0)
    hidden = ~masking(mask_ratio=ratio, block_size=1).draw(torch.zeros(4, 3, 50, 50))
    assert float(hidden.float().mean()) == pytest.approx(ratio, abs=0.02)


def test_masking_keeps_the_images_type():
    assert masking(block_size=2)(torch.ones(1, 3, 4, 4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize('changes', [{'mask_ratio': 1.0}, {'block_size': 0}, {'loss_weight': -0.1}])
def test_masking_refuses_bad_arguments(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        masking(**changes)


# ---- strong augmentation -------------------------------------------------------------------------


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_identity_at_probability_zero(channels):
    images = torch.randn(2, channels, 6, 8)
    unchanged = strong(jitter_probability=0.0, blur_probability=0.0)(images, MEAN, STD)
    torch.testing.assert_close(unchanged, images, atol=1e-5, rtol=0)


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_changed_values_stay_in_the_image_range(channels):
    torch.manual_seed(0)
    augment = strong(jitter_strength=0.5, jitter_probability=1.0, blur_probability=1.0)
    plain = restored(augment(normalised(torch.rand(8, channels, 9, 11)), MEAN, STD))
    assert plain.shape == (8, channels, 9, 11)
    assert plain.min() > -1e-5
    assert plain.max() < 1 + 1e-5


def replayed(batch, strength):
    """The factors that the module draws under the same seed, shape (4, B)."""
    torch.rand(batch, 1, 1, 1)
    return ((torch.rand(4, batch) * 2 - 1) * strength).double().numpy()


@pytest.mark.parametrize('channels', [1, 4])
def test_other_than_three_channels_change_brightness_and_contrast_only(channels):
    images = torch.rand(5, channels, 6, 8)
    augment = strong(jitter_strength=0.4, jitter_probability=1.0, blur_probability=0.0)
    torch.manual_seed(3)
    changed = restored(augment(normalised(images), MEAN, STD))
    torch.manual_seed(3)
    shift = replayed(5, 0.4)[:, :, None, None, None]
    brighter = np.clip(images.double().numpy() + shift[0], 0, 1)
    np.testing.assert_allclose(changed.numpy(), np.clip(brighter * (1 + shift[1]), 0, 1), atol=2e-6)


@pytest.mark.parametrize(('hue_strength', 'turns'), [(None, 0.1), (0.2, 0.2)])
def test_three_channels_change_saturation_and_hue_as_well(hue_strength, turns):
    """Against the standard library's colour spaces."""
    images = torch.rand(3, 3, 2, 3) * 0.5 + 0.25
    changes = {'jitter_strength': 0.2, 'hue_strength': hue_strength}
    augment = strong(**changes, jitter_probability=1.0, blur_probability=0.0)
    torch.manual_seed(5)
    changed = restored(augment(normalised(images), MEAN, STD)).double().numpy()
    torch.manual_seed(5)
    brightness, contrast, saturation, _ = replayed(3, 0.2)
    torch.manual_seed(5)
    hue = replayed(3, turns)[3]
    for image, row, column in np.ndindex(3, 2, 3):
        colour = images[image, :, row, column].double().numpy()
        colour = np.clip(np.clip(colour + brightness[image], 0, 1) * (1 + contrast[image]), 0, 1)
        h, s, v = colorsys.rgb_to_hsv(*colour)
        expected = colorsys.hsv_to_rgb((h + hue[image]) % 1, np.clip(s * (1 + saturation[image]), 0, 1), v)
        np.testing.assert_allclose(changed[image, :, row, column], expected, atol=1e-4)


def test_each_image_has_draws_of_its_own():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 6, 8).expand(6, -1, -1, -1)
    augment = strong(jitter_probability=0.5, blur_probability=0.5)
    changed = augment(normalised(images), MEAN, STD)
    assert len({str(image.tolist()) for image in changed}) > 3


def test_share_of_changed_images():
    torch.manual_seed(0)
    images = normalised(torch.full((2000, 1, 1, 1), 0.5))
    changed = strong(jitter_probability=0.8, blur_probability=0.0)(images, MEAN, STD)
    assert float((changed - images).abs().gt(1e-4).float().mean()) == pytest.approx(0.8, abs=0.03)


def test_blur_is_a_gaussian():
    images = torch.rand(1, 2, 24, 24)
    augment = strong(jitter_probability=0.0, blur_probability=1.0, blur_sigma=(1.0, 1.0))
    blurred = restored(augment(normalised(images), MEAN, STD))[0].numpy()
    for channel in range(2):
        expected = gaussian_filter(images[0, channel].double().numpy(), 1.0, mode='nearest', radius=4)
        np.testing.assert_allclose(blurred[channel], expected, atol=1e-5)


@pytest.mark.parametrize(
    'changes',
    [
        {'jitter_probability': 1.2},
        {'blur_probability': -0.1},
        {'jitter_strength': 0.6},
        {'blur_sigma': (0.0, 1.0)},
        {'blur_sigma': (2.0, 1.0)},
        {'value_range': 0.0},
    ],
)
def test_strong_augmentation_refuses_bad_arguments(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        strong(**changes)
