"""Texts of pictures fit where they stand, and are never written as boxes."""

from __future__ import annotations

import logging

import pytest
from matplotlib.font_manager import get_font

from dlc_mmseg.engine import picture_text
from dlc_mmseg.engine.picture_text import class_captions, font_of, text_size, wrapped, writable

CYRILLIC, BOLD_X, HAN = 'Дорога', '\U0001d7fb', '\u5efa\u7b51'


@pytest.fixture
def warnings(monkeypatch):
    seen = []
    monkeypatch.setattr(picture_text, 'print_log', lambda text, level, **_: seen.append((level, text)))
    picture_text._warn_once.cache_clear()
    yield seen
    picture_text._warn_once.cache_clear()


@pytest.fixture
def few_fonts(monkeypatch):
    """Only what Matplotlib brings along."""
    fonts = {name: file for name, file in picture_text._fonts().items() if 'mpl-data' in file}
    monkeypatch.setattr(picture_text, '_fonts', lambda: fonts)
    picture_text._families.cache_clear()
    yield
    picture_text._families.cache_clear()


@pytest.mark.parametrize('width', [0.05, 0.4, 1.0, 3.2])
@pytest.mark.parametrize(
    'text',
    ['true confusion (mean error of the identity 0.213)', 'top_potsdam_2_10_RGB_0_256_512_768.tif', 'x' * 200, ''],
)
def test_every_line_fits_and_nothing_is_lost(text, width):
    lines = wrapped(text, width, 9).split('\n')
    assert ''.join(lines).replace(' ', '') == text.replace(' ', '')
    for line in lines:
        assert text_size(line, 9)[0] <= width or len(line) == 1


def test_lines_break_at_blanks_first_then_after_marks():
    assert wrapped('mean error 0.044', text_size('mean error 0.', 9)[0], 9) == 'mean error\n0.044'
    assert wrapped('top_potsdam_2_10', text_size('top_potsdam', 9)[0], 9) == 'top_\npotsdam_2_\n10'


def test_width_is_that_of_the_letters():
    assert text_size('WWWW', 9)[0] > 2 * text_size('iiii', 9)[0]
    assert text_size('tree', 18)[0] == pytest.approx(2 * text_size('tree', 9)[0], rel=0.02)
    assert text_size('a\nlonger line', 9) == (text_size('longer line', 9)[0], 2 * text_size('a', 9)[1])


def test_letters_that_the_first_font_lacks_come_from_another(few_fonts, warnings):
    families = font_of(BOLD_X, 9).get_family()
    assert families[0] == 'DejaVu Sans'
    assert any(ord(BOLD_X) in get_font(picture_text._fonts()[name]).get_charmap() for name in families[1:])
    assert class_captions([BOLD_X, CYRILLIC, 'road']) == [BOLD_X, CYRILLIC, 'road']
    assert warnings == []


def test_classes_in_letters_that_no_font_has_are_numbered_and_said_once(few_fonts, warnings):
    for _ in range(3):
        assert class_captions(['road', HAN]) == ['road', 'class 1']
    ((level, text),) = warnings
    assert level == logging.WARNING
    assert f'class 1 is {HAN}' in text
    assert 'install a font' in text


def test_file_names_keep_what_can_be_written(few_fonts):
    assert writable(f'tile_{HAN}_1.png') == 'tile_??_1.png'
    assert writable('a\nb') == 'a\\nb'
