"""Confusion matrices are drawn by rows and by columns, with every name on the picture."""

from __future__ import annotations

import numpy as np
import pytest

from dlc_mmseg.engine.matrix_pictures import Confusion, draw_matrices

LONG = 'true confusion of the pseudo-labels (mean error of the identity 0.213), not correcting yet'


def joint(classes):
    counts = np.random.default_rng(classes).random((classes, classes)) + 3 * np.eye(classes)
    return counts / counts.sum()


def confusion(classes, title='T'):
    counts = joint(classes)
    return Confusion(title, counts / counts.sum(1, keepdims=True), counts / counts.sum(0, keepdims=True))


@pytest.mark.parametrize('classes', [2, 3, 6, 24])
def test_they_stand_side_by_side(classes):
    names = [f'class {index}' for index in range(classes)]
    identity = np.eye(classes)
    unknown = identity.copy()
    unknown[0] = np.nan
    one = draw_matrices([Confusion('T', identity)], names)
    both = draw_matrices([Confusion('T', identity), Confusion('confusion', unknown)], names)
    assert both.shape[1] == pytest.approx(2 * one.shape[1], abs=20)
    assert not np.array_equal(draw_matrices([Confusion('T', identity[::-1])], names), one)


@pytest.mark.parametrize('classes', [2, 6])
def test_precision_stands_below_recall(classes):
    names = [f'class {index}' for index in range(classes)]
    whole = confusion(classes)
    recall = draw_matrices([whole._replace(precision=None)], names)
    picture = draw_matrices([whole], names)
    assert picture.shape[0] == pytest.approx(2 * recall.shape[0], abs=20)
    assert picture.shape[1] == recall.shape[1]
    other = draw_matrices([whole._replace(precision=whole.recall)], names)
    half = recall.shape[0] - 20
    assert np.array_equal(picture[:half], other[:half])
    assert not np.array_equal(picture[half:], other[half:])


@pytest.mark.parametrize(
    ('classes', 'name'),
    [(2, 'x'), (2, 'a very long class name that goes on and on'), (3, 'building_with_underscores' * 3), (24, 'class')],
)
def test_nothing_is_cut_off(classes, name):
    picture = draw_matrices(
        [confusion(classes, LONG), confusion(classes, LONG)], [f'{name} {index}' for index in range(classes)]
    )
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == 255).all()


@pytest.mark.parametrize('classes', [2, 3])
def test_a_single_matrix_of_few_classes_has_room_for_its_title(classes):
    picture = draw_matrices([confusion(classes, LONG)], ['a', 'b', 'c'][:classes])
    for edge in (picture[:3], picture[-3:], picture[:, :3], picture[:, -3:]):
        assert (edge == 255).all()
