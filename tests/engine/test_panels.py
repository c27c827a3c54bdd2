"""Panels, their titles and the legend: all of it is on the picture, whatever the names."""

from __future__ import annotations

import numpy as np
import pytest

from dlc_mmseg.engine.panels import Panel, draw_panels

PALETTE = [[255, 255, 255], [0, 0, 255], [200, 10, 30]]


def plain(shade, height=8, width=8):
    return np.full((height, width, 3), shade, np.uint8)


def margins_are_white(picture, pixels=3):
    edges = picture[:pixels], picture[-pixels:], picture[:, :pixels], picture[:, -pixels:]
    return all((edge == 255).all() for edge in edges)


def test_panels_stand_in_one_row():
    panels = [Panel(str(number), plain(80 * number)) for number in range(3)]
    picture = draw_panels([panels])
    legend = draw_panels([panels], [(f'class {index}', colour) for index, colour in enumerate(PALETTE)])
    assert picture.dtype == np.uint8
    assert picture.shape[1] > 2 * picture.shape[0]
    for number in range(3):
        assert (picture == 80 * number).all(axis=2).sum() > 1000
    for colour in PALETTE[1:]:
        assert not (picture == colour).all(axis=2).any()
        assert (legend == colour).all(axis=2).sum() > 20


def test_rows_of_other_sizes_and_empty_places():
    sizes = {(200, 10, 30): (4, 16), (30, 10, 200): (16, 4), (10, 200, 30): (2, 2)}
    wide, tall, small = (Panel('', np.tile(np.uint8(colour), (*size, 1))) for colour, size in sizes.items())
    picture = draw_panels([[wide, None], [tall, small]])
    places = [np.nonzero((picture == colour).all(axis=2)) for colour in sizes]
    for (rows, columns), (height, width) in zip(places, sizes.values(), strict=True):
        assert np.ptp(columns) / np.ptp(rows) == pytest.approx(width / height, rel=0.05)
    assert places[0][0].max() < places[1][0].min()
    assert places[1][1].max() < places[2][1].min()
    assert (picture[: places[0][0].max(), picture.shape[1] // 2 :] == 255).all()


@pytest.mark.parametrize('name', ['x', 'a title of some words ' * 4, 'top_potsdam_2_10_' * 12, 'W' * 99, '$a$ \\frac'])
@pytest.mark.parametrize('columns', [1, 2])
def test_titles_and_class_names_stay_on_the_picture(name, columns):
    """Cut off is what touches the picture's edge."""
    legend = [(f'{index} {name}', [200, 10, 30]) for index in range(3)]
    picture = draw_panels([[Panel(name, plain(128))] * columns], legend)
    assert margins_are_white(picture)
    assert (picture == [200, 10, 30]).all(axis=2).sum() > 3 * 20
    assert picture.shape[1] == draw_panels([[Panel('x', plain(128))] * columns]).shape[1]


def test_large_tiles_keep_their_pixels():
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    picture = draw_panels([[Panel('stripes', stripes)]])
    middle = picture[picture.shape[0] // 2].astype(int).sum(axis=1)
    assert (np.abs(np.diff(middle)) > 600).sum() == 512  # from white to black and back at every pixel, and at the edge


def test_names_that_start_with_an_underscore_are_in_the_legend():
    assert (draw_panels([[Panel('x', plain(0))]], [('_road', [200, 10, 30])]) == [200, 10, 30]).all(axis=2).sum() > 20
