"""Images that share a name, whatever else tells them apart."""

from __future__ import annotations

import pytest

from dlc_mmseg.checks.equal_names import equal_names


@pytest.mark.parametrize(
    'paths',
    [['n/a.png', 's/a.png', 's/b.png'], ['n/a.tif', 'n/a.jpg', 'b.png'], ['/x/y/a.PNG', 'a.png', 'c']],
)
def test_folders_and_suffixes_tell_no_names_apart(paths):
    found = equal_names(paths)
    assert found is not None
    assert (found.images, found.names, found.first) == (3, 2, (paths[0], paths[1]))
    assert f'{paths[0]}, {paths[1]}' in found.what


@pytest.mark.parametrize('paths', [[], ['a/b.png', 'a_b.png'], ['a.png', 'a.png'], ['a.b.png', 'a.c.png'], ['a', 'A']])
def test_different_names_are_fine(paths):
    assert equal_names(paths) is None
