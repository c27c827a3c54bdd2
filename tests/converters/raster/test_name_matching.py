"""Which label belongs to which image."""

from __future__ import annotations

import pytest

from dlc_mmseg.converters.raster.name_matching import match_names


@pytest.mark.parametrize(
    ('images', 'labels', 'ends', 'names'),
    [
        (['a.jpg', 'b.jpg'], ['a.png', 'b.png'], ('', '.jpg', '', '.png'), ('a', 'b')),
        (['a_RGB.tif', 'b_RGB.tif'], ['a_label.tif', 'b_label.tif'], ('', '_RGB.tif', '', '_label.tif'), ('a', 'b')),
        (['t_1.tif', 't_11.tif'], ['t_1_lbl.tif', 't_11_lbl.tif'], ('', '.tif', '', '_lbl.tif'), ('t_1', 't_11')),
        (['img_1.png', 'img_2.png'], ['mask_1.png', 'mask_2.png'], ('img_', '.png', 'mask_', '.png'), ('1', '2')),
        (['a.b.jpg', 'a.c.jpg'], ['a.b.mask.png', 'a.c.mask.png'], ('', '.jpg', '', '.mask.png'), ('a.b', 'a.c')),
        (['a.jpg', 'b.jpg', 'c.jpg'], ['b.png', 'a.png'], ('', '.jpg', '', '.png'), ('a', 'b')),
        (['ortho.tif'], ['truth.tif'], ('ortho', '.tif', 'truth', '.tif'), ('',)),
        (['x/a.jpg', 'y/b.jpg'], ['x/a.png', 'y/b.png'], ('', '.jpg', '', '.png'), ('x/a', 'y/b')),
    ],
)
def test_names_that_belong_together(images, labels, ends, names):
    match = match_names(images, labels)
    assert match is not None
    assert (match.image_prefix, match.image_suffix, match.label_prefix, match.label_suffix) == ends
    assert match.names == names
    assert {match.image(name) for name in names} <= {*images}
    assert {match.label(name) for name in names} <= {*labels}


def test_names_that_do_not():
    assert match_names(['a.jpg', 'b.jpg', 'c.jpg'], ['x.png', 'y.png', 'z.png']) is None
    assert match_names(['a.jpg', 'b.jpg', 'c.jpg'], ['a.png', 'y.png', 'z.png']) is None
