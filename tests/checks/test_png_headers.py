"""The quick look at PNG headers beside Pillow's."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image

from dlc_mmseg.checks import image_headers


@pytest.mark.parametrize(
    ('mode', 'bits'),
    [
        ('1', None),
        ('L', None),
        ('L', 2),
        ('L', 4),
        ('P', None),
        ('RGB', None),
        ('RGBA', None),
        ('LA', None),
        ('I;16', None),
    ],
)
@pytest.mark.parametrize('fault', ['none', 'cut', 'checksum', 'no chunk', 'method', 'depth', 'empty side'])
def test_plain_pngs_are_told_as_pillow_tells_them(tmp_path, monkeypatch, mode, bits, fault):
    path = tmp_path / 'tile.png'
    image = Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8)) if mode == 'I;16' else Image.new(mode, (8, 6))
    image.save(path, **({} if bits is None else {'bits': bits}))
    content = bytearray(path.read_bytes())
    if fault == 'cut':
        content = content[:-5]
    elif fault == 'no chunk':
        content = content[:33]
    elif fault != 'none':
        position = {'checksum': 30, 'method': 26, 'depth': 24, 'empty side': 19}[fault]
        content[position] = 0 if fault == 'empty side' else 7
        if fault != 'checksum':
            content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, 'big')
    path.write_bytes(content)
    quick = image_headers.read_header(str(path))
    monkeypatch.setattr(image_headers, '_plain_png', lambda _: None)
    assert quick == image_headers.read_header(str(path))


def test_many_files_are_read_in_their_order_each_once(tmp_path):
    paths = []
    for number in range(150):
        paths.append(str(tmp_path / f'{number}.png'))
        Image.new('L', (number + 1, 1)).save(paths[-1])
    headers = image_headers.read_headers([*paths, paths[0], 's3://bucket/far.png'], '')
    assert list(headers) == paths
    assert [header.size for header in headers.values()] == [(1, number + 1) for number in range(150)]
