"""Labels, confidences and images of any kind as 8-bit RGB images."""

from __future__ import annotations

import numpy as np
import torch

from dlc_mmseg.engine.pictures import colour_labels, displayable, grey_confidence, loaded_image

PALETTE = [[255, 255, 255], [0, 0, 255], [200, 10, 30]]


def test_labels_take_their_colours():
    labels = np.array([[0, 1, 2], [255, 3, 0]])
    picture = colour_labels(labels, PALETTE, unknown=90)
    expected = [[PALETTE[0], PALETTE[1], PALETTE[2]], [[90] * 3, [90] * 3, PALETTE[0]]]
    assert picture.dtype == np.uint8
    assert picture.tolist() == expected


def test_eight_bit_colours_stay():
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    assert np.array_equal(displayable(image), image[..., :3])
    assert np.array_equal(displayable(image[..., :1]), np.repeat(image[..., :1], 3, axis=2))
    assert np.array_equal(displayable(image[..., :2]), np.repeat(image[..., :1], 3, axis=2))


def test_other_values_are_stretched():
    image = np.linspace(500, 3000, 300).reshape(10, 10, 3).astype(np.uint16)
    stretched = displayable(image)
    assert stretched.dtype == np.uint8
    assert stretched.min() == 0
    assert stretched.max() == 255
    assert (np.diff(stretched.reshape(-1).astype(int)) >= 0).all()
    assert displayable(np.full((3, 3, 1), 7.0)).shape == (3, 3, 3)  # a constant is no division by zero


def test_images_of_a_pipeline_are_shown_in_their_own_colours():
    image = torch.arange(24, dtype=torch.uint8).reshape(3, 2, 4)
    assert loaded_image(image).tolist() == image.flip(0).permute(1, 2, 0).tolist()  # BGR to RGB
    four = torch.arange(32, dtype=torch.uint8).reshape(4, 2, 4)
    assert loaded_image(four).tolist() == four[:3].permute(1, 2, 0).tolist()


def test_confidence_goes_from_black_to_white():
    picture = grey_confidence(torch.tensor([[0.0, 0.5, 1.0, 1.2]]))
    assert picture.tolist() == [[[0] * 3, [127] * 3, [255] * 3, [255] * 3]]
