"""Image files of folders, without what lies beside images."""

from __future__ import annotations

import os
from pathlib import Path

from dlc_mmseg.errors import UserError

IMAGE_SUFFIXES = (
    *('.tif', '.tiff', '.png', '.jpg', '.jpeg', '.jp2', '.j2k', '.bmp', '.webp'),
    *('.img', '.vrt', '.ecw', '.sid', '.nitf', '.ntf', '.pix', '.bil', '.bsq', '.bip', '.kap', '.gpkg'),
)
"""Endings, in lower case, of files taken for images where none is named."""


def list_images(folder: Path, suffix: str | None = None) -> list[Path]:
    """Images below a folder.

    Args:
        folder: Searched with its sub-folders; hidden files and folders are left out.
        suffix: How their names end, such as ``_RGB.tif``; None takes `IMAGE_SUFFIXES`.

    Returns:
        Paths, sorted.

    Raises:
        UserError: If the folder is missing or holds no image.
    """
    if not folder.is_dir():
        raise UserError(folder, 'is no folder', 'give a folder of images')
    endings = (suffix,) if suffix else IMAGE_SUFFIXES
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        found += [
            Path(place, name)
            for name in names
            if not name.startswith('.') and (name if suffix else name.lower()).endswith(endings)
        ]
    if not found:
        what = f'no image ends in {suffix!r}' if suffix else 'no image is there'
        raise UserError(folder, what, 'give another folder or suffix')
    return sorted(found)
