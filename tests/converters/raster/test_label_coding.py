"""Which codes are classes: every usual way of coding labels."""

from __future__ import annotations

import numpy as np
import pytest

from dlc_mmseg.converters.raster.class_words import NamedClass, parse_classes
from dlc_mmseg.converters.raster.label_coding import LabelCounts, find_coding
from dlc_mmseg.datasets.label_codes import parse_label_map
from dlc_mmseg.errors import UserError

RED, WHITE = 0xFF0000, 0xFFFFFF


def counts(codes, **more):
    return LabelCounts('lbl', dict.fromkeys(codes, 10), **more)


@pytest.mark.parametrize(
    ('codes', 'members', 'ignored', 'label_map'),
    [
        ([0, 1, 2], [0, 1, 2], (), None),
        ([0, 1, 2, 255], [0, 1, 2], (255,), None),
        ([0, 1], [0, 1], (), None),
        ([0, 1, 255], [0, 1], (255,), None),
        ([0, 255], [0, 255], (), {'class_0': 0, 'class_1': 255}),
        ([0, 128, 255], [0, 128, 255], (), {'class_0': 0, 'class_1': 128, 'class_2': 255}),
        ([0, 40, 80, 120, 160, 200], [0, 40, 80, 120, 160, 200], (), 'codes'),
        ([10, 20, 255], [10, 20], (255,), {'class_0': 10, 'class_1': 20, 'ignored': 255}),
        ([1, 2, 3], [1, 2, 3], (), {'class_0': 1, 'class_1': 2, 'class_2': 3}),
        ([0, 1, 3], [0, 1, 3], (), {'class_0': 0, 'class_1': 1, 'class_2': 3}),
        ([100, 2000], [100, 2000], (), {'class_0': 100, 'class_1': 2000}),
    ],
)
def test_values(codes, members, ignored, label_map):
    coding = find_coding(counts(codes))
    assert [code for (code,) in coding.codes] == members
    assert coding.ignored == ignored
    if label_map == 'codes':
        label_map = {f'class_{index}': code for index, code in enumerate(codes)}
    assert coding.label_map() == label_map
    assert len({*coding.palette}) == len(members)
    if label_map is not None:  # what training makes of it
        numbers = parse_label_map(label_map, coding.classes).classes
        assert [numbers[code] for code in members] == list(range(len(members)))
        assert all(numbers[code] == 255 for code in ignored)


def test_colours_are_their_own_palette():
    coding = find_coding(counts([0, RED, WHITE], colours=True))
    assert coding.palette == ((0, 0, 0), (255, 0, 0), (255, 255, 255))
    assert coding.label_map() == {'class_0': (0, 0, 0), 'class_1': (255, 0, 0), 'class_2': (255, 255, 255)}
    assert find_coding(counts([0, RED, WHITE], colours=True), ignored=[0]).label_map() == {
        'class_0': (255, 0, 0),
        'class_1': (255, 255, 255),
        'ignored': (0, 0, 0),
    }


def test_names_and_colours_of_the_file():
    table = {0: (250, 0, 0), 1: (0, 250, 0), 2: (0, 0, 250)}
    coding = find_coding(counts([0, 1, 2], palette=table, names={0: 'roof', 1: 'tree', 2: 'lake'}))
    assert coding.classes == ('roof', 'tree', 'lake')
    assert coding.palette == tuple(table.values())
    assert coding.label_map() is None


def test_a_grey_table_is_no_palette():
    coding = find_coding(counts([0, 1, 2], palette={value: (value,) * 3 for value in range(256)}))
    assert (1, 1, 1) not in coding.palette


def test_nodata_of_the_file_is_no_class():
    coding = find_coding(counts([0, 1, 2], nodata=0))
    assert coding.ignored == (0,)
    assert coding.remarks == ('0 is taken for no class',)
    assert find_coding(counts([0, 255], nodata=0)).ignored == ()  # else one class would be left


def test_names_that_the_user_gives():
    assert find_coding(counts([0, 40]), parse_classes(['a', 'b'])).label_map() == {'a': 0, 'b': 40}
    # one of three indices does not occur in these files
    assert find_coding(counts([0, 2]), parse_classes(['a', 'b', 'c'])).label_map() is None
    # 255 is the third class, as three are named
    named = find_coding(counts([0, 1, 255]), parse_classes(['a', 'b', 'c']))
    assert named.label_map() == {'a': 0, 'b': 1, 'c': 255}
    coding = find_coding(counts([0, 1, 2, 9]), parse_classes(['a=0', 'b=1,2']), [9])
    assert coding.label_map() == {'a': 0, 'b': [1, 2], 'ignored': 9}
    colours = find_coding(counts([0, RED], colours=True), parse_classes(['a=0/0/0', 'b=255/0/0']))
    assert colours.label_map() == {'a': (0, 0, 0), 'b': (255, 0, 0)}


@pytest.mark.parametrize(
    ('codes', 'words', 'message'),
    [
        (range(100), [], 'labels hold 100 different values'),
        ([7], [], 'fewer than two classes'),
        ([0, 255, 7], ['a', 'b', 'c', 'd'], 'names 4 classes, lbl holds 0, 7, 255'),
        ([0, 40, 80], ['a=0', 'b=40'], 'holds 80, which --classes does not name'),
        ([0, 40], ['a=0/0/0', 'b=1/1/1'], 'gives colours, but lbl holds values'),
    ],
)
def test_refusals(codes, words, message):
    with pytest.raises(UserError, match=message):
        find_coding(counts(codes), parse_classes(words) if words else ())


@pytest.mark.parametrize(
    'words',
    [
        ['a=x', 'b=1'],
        ['a=1', 'b=1'],
        ['a', 'a'],
        ['a'],
        ['a=1', 'b'],
        ['a=1', 'b=1/2/3'],
        ['ignored', 'b'],
        ['a=300/0/0', 'b=1/1/1'],
    ],
)
def test_words_that_cannot_be_read(words):
    with pytest.raises(UserError, match='--classes'):
        parse_classes(words)


def test_a_name_may_hold_anything_else():
    assert parse_classes(['low vegetation=80,120', 'Straße=7']) == (
        NamedClass('low vegetation', (80, 120)),
        NamedClass('Straße', (7,)),
    )


def test_indices_of_codes():
    coding = find_coding(counts([3, 40, 70_000 % 65536]), ignored=[3])
    codes = np.array([[40, 4464], [3, -1], [0, 65535]], np.int32)
    assert coding.indices(codes).tolist() == [[0, 1], [255, 255], [255, 255]]
