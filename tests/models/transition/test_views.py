"""Points and cells of a batch."""

from __future__ import annotations

import torch

from dlc_mmseg.models.transition.views import cell_centres, draw_points


def test_cells_take_the_pixel_at_their_centre():
    pixels = torch.arange(36).view(1, 6, 6)
    assert cell_centres(pixels, 2, 3).tolist() == [[[7, 9, 11], [25, 27, 29]]]
    maps = torch.arange(72).view(1, 2, 6, 6)
    assert torch.equal(cell_centres(maps, 2, 3)[:, 0], cell_centres(pixels, 2, 3))
    assert cell_centres(maps, 2, 3)[0, 1].tolist() == [[43, 45, 47], [61, 63, 65]]


def test_points_take_the_label_at_their_cell_and_skip_padding():
    labels = torch.arange(4).view(1, 2, 2).repeat_interleave(4, 1).repeat_interleave(4, 2)
    features = torch.nn.functional.one_hot(labels[:, ::4, ::4], 4).permute(0, 3, 1, 2).float()
    valid = torch.ones_like(labels, dtype=torch.bool)
    valid[:, 4:] = False
    points = draw_points(features, labels, valid, 10)
    assert sorted(points.labels.tolist()) == [0, 1]
    assert torch.equal(points.features.argmax(dim=1), points.labels)
    assert len(draw_points(features, labels, torch.ones_like(valid), 3).labels) == 3
