"""Pictures: colours, ranges and shapes."""

from __future__ import annotations

import numpy as np
import pytest

from dlc_mmseg.engine.pictures import colour_labels, displayable, draw_matrices, side_by_side

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


def test_panels_stand_in_one_row():
    panels = [(str(number), np.full((8, 8, 3), 80 * number, np.uint8)) for number in range(3)]
    plain = side_by_side(panels)
    legend = side_by_side(panels, [(f'class {index}', colour) for index, colour in enumerate(PALETTE)])
    assert plain.dtype == np.uint8
    assert plain.shape[1] > 2 * plain.shape[0]
    for number in range(3):
        assert (plain == 80 * number).all(axis=2).sum() > 1000
    for colour in PALETTE[1:]:
        assert not (plain == colour).all(axis=2).any()
        assert (legend == colour).all(axis=2).sum() > 20


@pytest.mark.parametrize('classes', [2, 6, 24])
def test_matrices(classes):
    identity = np.eye(classes)
    unknown = identity.copy()
    unknown[0] = np.nan
    names = [f'class {index}' for index in range(classes)]
    picture = draw_matrices([('T', identity), ('confusion', unknown)], names)
    one = draw_matrices([('T', identity)], names)
    assert picture.shape[2] == 3
    assert picture.shape[1] == pytest.approx(2 * one.shape[1], abs=1)
    assert not np.array_equal(draw_matrices([('T', identity[::-1])], names), one)
