from __future__ import annotations

import pytest
import torch

from dlc_mmseg.functional.window_taper import cosine_taper
from dlc_mmseg.functional.windows import sliding_windows


@pytest.mark.parametrize(('window', 'overlap'), [((16, 24), (4, 6)), ((16, 16), (8, 8)), ((9, 7), (0, 3))])
def test_neighbours_on_a_regular_grid_sum_to_one(window, overlap):
    stride = tuple(side - shared for side, shared in zip(window, overlap, strict=True))
    size = tuple(side + 4 * step for side, step in zip(window, stride, strict=True))
    total = torch.zeros(size)
    for box in sliding_windows(size, window, stride):
        total[box.slices] += cosine_taper(window, overlap)
    inner = total[overlap[0] : size[0] - overlap[0], overlap[1] : size[1] - overlap[1]]
    torch.testing.assert_close(inner, torch.ones_like(inner), rtol=0, atol=1e-5)


def test_weights_fall_smoothly_to_the_border_and_stay_positive():
    taper = cosine_taper((64, 64), (16, 16))
    assert taper.min() > 0
    assert taper.max() == 1
    row = taper[32]
    assert (row.diff()[:32] >= 0).all()
    assert row.diff().abs().max() < 0.1  # no jump: pi / 2 / 16 at most
    torch.testing.assert_close(row, row.flip(0))


def test_impossible_sizes():
    for size, overlap in (((0, 4), (0, 0)), ((4, 4), (-1, 0))):
        with pytest.raises(ValueError, match='must be positive'):
            cosine_taper(size, overlap)
