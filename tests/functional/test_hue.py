"""Hue shifts beside two other implementations, and what they leave alone."""

from __future__ import annotations

import colorsys

import kornia
import pytest
import torch

from dlc_mmseg.functional import shift_hue


def images():
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(4, 3, 9, 7, generator=generator, dtype=torch.float64)
    drawn[:, :, :3] = (2 * drawn[:, :, :3]).round() / 2  # black, white, grey, and two largest channels
    return drawn


def test_beside_the_standard_library():
    turns = torch.tensor([0.0, 0.3, -0.45, 1.2], dtype=torch.float64)
    got = shift_hue(images(), turns)
    for before, after, turn in zip(images(), got, turns.tolist(), strict=True):
        for pixel, found in zip(before.flatten(1).t().tolist(), after.flatten(1).t().tolist(), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            assert found == pytest.approx(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), abs=1e-9)


def test_beside_kornia_in_single_precision():
    turns = torch.tensor([0.01, 0.1, -0.1, 0.5])
    expected = kornia.enhance.adjust_hue(images().float(), 2 * torch.pi * turns)
    torch.testing.assert_close(shift_hue(images().float(), turns), expected, rtol=0, atol=1e-5)


def test_its_argument_stays_as_it_was():
    given = images()
    shift_hue(given, torch.full((4,), 0.2))
    assert torch.equal(given, images())


@pytest.mark.parametrize(('shape', 'count'), [((2, 4, 3, 3), 2), ((3, 4, 4), 3), ((2, 3, 4, 4), 1)])
def test_refuses_what_does_not_fit(shape, count):
    with pytest.raises(ValueError, match='pass'):
        shift_hue(torch.zeros(shape), torch.zeros(count))
