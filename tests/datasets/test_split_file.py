"""What an editor leaves in a split file is named with its line."""

from __future__ import annotations

import pytest

from dlc_mmseg.datasets.split_file import encoding_fault, name_faults

IMAGES = {'t00', 't01', 'north/t02'}


def faults(tmp_path, content: bytes):
    path = tmp_path / 'split.txt'
    path.write_bytes(content)
    assert encoding_fault(path) is None
    return name_faults(path, IMAGES.__contains__)


@pytest.mark.parametrize(
    ('content', 'words', 'remedy'),
    [
        ('\ufefft00\nt01\n', 'line 1 begins with a byte order mark', 'UTF-8 without'),
        ('\n', 'line 1 is an empty line', 'remove'),
        ('t00\n \t\nt01', 'line 2 is an empty line', 'remove'),
        ('t00\nt01\n\n\n', 'line 3 is an empty line, which counts as a name (and 1 more)', 'remove'),
        ('t00\nt\u200b01\n', 'line 2 holds an invisible character (U+200B)', 'remove'),
        ('t00\u202c\n', 'line 1 holds an invisible character (U+202C)', 'remove'),
        ('t00\rt01\r', 'line 1 holds carriage returns', 'line ends'),
        ('# train\nt00\n', 'line 1 is a comment', 'remove'),
        ('north\\t02\r\n', 'line 1 separates folders by backslashes', 'forward'),
        ('"t00"\n', 'line 1 has quotation marks', 'remove'),
        ('t00.png t00_label.png\nt01.png t01_label.png\n', 'line 1 holds more than a name (and 1 more)', 'one name'),
        ('t00,t00\n', 'line 1 holds more than a name', 'one name'),
        ('t00\tt00\n', 'line 1 holds more than a name', 'one name'),
    ],
)
def test_each_is_named_with_its_line(tmp_path, content, words, remedy):
    (fault,) = faults(tmp_path, content.encode())
    assert fault.what.startswith(words)
    assert remedy in fault.remedy


def test_two_kinds_are_two_faults_with_their_names(tmp_path):
    mark, empty = faults(tmp_path, b'\xef\xbb\xbft00\r\nt01\r\n\r\n')
    assert mark.names == ('\ufefft00',)
    assert empty.names == ('',)


@pytest.mark.parametrize('content', ['t00\nt01\n', 't00\r\nt01', ' t00 \nnorth/t02\n', 't77\na b.c\n', ''])
def test_of_other_lines_nothing_is_said(tmp_path, content):
    assert faults(tmp_path, content.encode()) == []


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        ('t00\n'.encode('utf-16'), 'UTF-16'),
        ('\ufefft00\n'.encode('utf-16-be'), 'UTF-16'),
        ('t00\n'.encode('utf-32'), 'UTF-32'),
        ('t00\nGrün\n'.encode('cp1252'), 'line 2 is no UTF-8 (byte 0xfc)'),
    ],
)
def test_other_encodings_are_named(tmp_path, content, words):
    path = tmp_path / 'split.txt'
    path.write_bytes(content)
    fault = encoding_fault(path)
    assert fault is not None
    assert words in fault.what
    assert 'UTF-8' in fault.remedy
