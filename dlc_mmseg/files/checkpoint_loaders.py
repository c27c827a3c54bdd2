"""MMEngine's checkpoint loaders, replaced by ones that execute nothing the files carry.

OneDL's loader falls back to full unpickling when the safe one refuses, and lets a file call ``getattr``; OpenMMLab's
does not say `weights_only`, which torch < 2.6 takes as False and later versions as True, refusing MMEngine's own
checkpoints. All of ``load_from``, ``resume``, ``mim test`` and ``init_cfg=dict(type='Pretrained')`` come through here.
"""

from __future__ import annotations

import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine import fileio
from mmengine.dist import barrier, get_dist_info
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import (
    get_deprecated_model_names,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file, read_safely


def register_safe_loaders() -> None:
    """Take the place of every loader of MMEngine's `CheckpointLoader`, for the whole process."""
    for prefixes, loader in (
        ('', load_from_local),
        (('http://', 'https://'), load_from_http),
        (('modelzoo://', 'torchvision://'), load_from_torchvision),
        (('open-mmlab://', 'openmmlab://'), load_from_openmmlab),
        ('mmcls://', load_from_mmcls),
        ((r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_ceph),
        ('pavi://', load_from_pavi),
    ):
        CheckpointLoader.register_scheme(prefixes, loader, force=True)


def load_from_local(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load a local file.

    Args:
        filename: Path; ``~`` is the home folder.
        map_location: As in `torch.load`.

    Returns:
        What the file holds.

    Raises:
        UserError: If the file is missing, damaged or unsafe.
    """
    return load_checkpoint_file(os.path.expanduser(filename), map_location)


def load_from_http(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load a file from the web, once downloaded from torch's cache (``TORCH_HOME``).

    Args:
        filename: URL.
        map_location: As in `torch.load`.

    Returns:
        What the file holds.

    Raises:
        UserError: If the download fails, or the file is damaged or unsafe.
    """
    cached = Path(torch.hub.get_dir(), 'checkpoints', os.path.basename(urlparse(filename).path))
    rank, world_size = get_dist_info()
    try:
        if rank == 0:
            _download(filename, cached)
    finally:
        if world_size > 1:
            barrier()
    _download(filename, cached)  # other nodes need not share rank 0's disk
    return load_checkpoint_file(cached, map_location)


def load_from_torchvision(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load ``torchvision://NAME`` from its URL; see `load_from_http`."""
    return load_from_http(_lookup(get_torchvision_models(), filename), map_location)


def load_from_openmmlab(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load ``open-mmlab://NAME`` from its URL, or from MMEngine's home folder; see `load_from_http`."""
    name = filename.split('://', 1)[1]
    place = _lookup(get_external_models(), get_deprecated_model_names().get(name, name))
    if place.startswith(('http://', 'https://')):
        return load_from_http(place, map_location)
    cache = os.environ.get('XDG_CACHE_HOME', '~/.cache')
    home = os.environ.get('MMENGINE_HOME', os.path.join(cache, 'mmengine'))
    return load_from_local(os.path.join(home, place), map_location)


def load_from_mmcls(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load the backbone of ``mmcls://NAME`` from its URL; see `load_from_http`."""
    checkpoint = load_from_http(_lookup(get_mmcls_models(), filename), map_location)
    state = checkpoint.get('state_dict', checkpoint)
    prefix = 'backbone.'
    return {'state_dict': {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}}


def load_from_ceph(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Load an object of a Ceph or S3 store through MMEngine's petrel backend; see `load_from_local`."""
    content = fileio.get(filename, backend_args={'backend': 'petrel'})
    return read_safely(BytesIO(content), filename, map_location)


def load_from_pavi(filename: str, map_location: Any = 'cpu') -> dict[str, Any]:
    """Refuse ``pavi://``, whose client unpickles by itself."""
    raise UserError(filename, 'pavi:// is not read', 'download the checkpoint and give the path of the file')


def _lookup(places: dict[str, str], filename: str) -> str:
    name = filename.rsplit('://', 1)[-1]
    if name not in places:
        raise UserError(filename, 'no such pre-trained model', 'give a URL or the path of a file')
    return places[name]


def _download(url: str, destination: Path) -> None:
    if destination.is_file():
        return
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(destination), progress=sys.stderr.isatty())
    except (OSError, ValueError) as error:  # urllib's errors are OSErrors
        reason = ' '.join(str(error).split())
        raise UserError(
            url, f'cannot be downloaded ({reason})', f'download it elsewhere and save it as {destination}'
        ) from error
