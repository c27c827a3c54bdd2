"""Folders given to MMSegmentation's `MMSegInferencer`: their images, in the order of their names.

Upstream symptom (MMEngine 0.10.7, OneDL 0.10.12): `BaseInferencer._inputs_to_list` takes every file of a folder, in the
order in which the disk lists them. The maps are numbered (``00000000_pred.png`` ..), so that counting through the names
assigns them to other images; and a world file beside an image ends in "failed to load image".
"""

from __future__ import annotations

import logging
import os
from typing import Any

from mmengine.infer import BaseInferencer
from mmengine.logging import print_log
from mmseg.apis import MMSegInferencer

from dlc_mmseg.files.image_files import IMAGE_SUFFIXES


def list_folders_by_name() -> None:
    """Let every `MMSegInferencer` of the process take the images of a folder, sorted; what is no folder stays as it is.

    Map number n then belongs to the nth image by name. `dlc-mmseg predict` names maps after their images.
    """
    MMSegInferencer._inputs_to_list = _inputs_to_list  # type: ignore[method-assign]


def images_in(folder: str) -> list[str]:
    """Images right in a folder, not in its sub-folders, as MMEngine takes them.

    Args:
        folder: The folder.

    Returns:
        Paths of the files that end like images (`IMAGE_SUFFIXES`), sorted; of all files if none does. A line of the
        log counts those left out.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if entry.is_file() and not entry.name.startswith('.'))
    images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
    others = [name for name in names if name not in set(images)]
    if images and others:
        text = f'{folder}: {len(images)} images; {len(others)} other files are left out, such as {others[0]}'
        print_log(text, logger='current', level=logging.INFO)
    return [os.path.join(folder, name) for name in images or names]


def _inputs_to_list(self: BaseInferencer, inputs: Any) -> list[Any]:
    if isinstance(inputs, str) and os.path.isdir(inputs):
        return images_in(inputs)
    found: list[Any] = BaseInferencer._inputs_to_list(self, inputs)
    return found
