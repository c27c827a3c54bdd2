"""A trained model as a plain MMSegmentation config and checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmseg.registry import MODELS, TRANSFORMS
from torch import Tensor

from dlc_mmseg.datasets.label_loading import loads_labels
from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile
from dlc_mmseg.deploy.export.network import Network, as_built, image_logits
from dlc_mmseg.deploy.legacy.checkpoint_files import write_checkpoint
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.atomic_writing import write_atomically
from dlc_mmseg.version import __version__

_PACKAGE = 'dlc_mmseg'
_PROBE = 64  # pixels of the image that original and export are compared on


class PlainModel(NamedTuple):
    """What was written.

    Attributes:
        config: The config file.
        checkpoint: The checkpoint.
        checkpoint_bytes: Its size.
        needs: Types of this package that the config still names; empty if MMSegmentation alone runs it.
    """

    config: Path
    checkpoint: Path
    checkpoint_bytes: int
    needs: tuple[str, ...]


def export_plain(network: Network, pipeline: list[dict[str, Any]], folder: Path) -> PlainModel:
    """Write a network as ``model.py`` and ``model.pth``, which `init_model` and `MMSegInferencer` take.

    The checkpoint holds weights, class names and colours: no teacher or student beside the network, no optimizer, no
    transition matrix. Auxiliary heads, which only training uses, are left out.

    Args:
        network: From `predicting_network`.
        pipeline: Test pipeline of the run; steps that load labels are left out.
        folder: Where the files go; existing ones are replaced.

    Returns:
        The files, and what of this package they still need.

    Raises:
        UserError: If the folder cannot be written, or the written model does not predict what the network predicts.
    """
    config = _config(network, pipeline)
    needs = tuple(sorted(set(_own_types(config))))
    if needs:
        config['custom_imports'] = {'imports': [_PACKAGE], 'allow_failed_imports': False}
    state = {
        key: value for key, value in network.segmentor.state_dict().items() if not key.startswith('auxiliary_head.')
    }
    _check(network, config['model'], state)
    paths = folder / 'model.py', folder / 'model.pth'
    dataset_meta: dict[str, Any] = {'classes': network.classes, 'palette': network.palette}
    try:
        write_atomically(paths[0], Config(config).pretty_text.encode())
        write_checkpoint(paths[1], state, {'dataset_meta': dataset_meta})
    except OSError as error:
        raise UserError(folder, str(error.strerror or error), 'give a folder that can be written') from error
    return PlainModel(*paths, paths[1].stat().st_size, needs)


def _config(network: Network, pipeline: list[dict[str, Any]]) -> dict[str, Any]:
    """A whole config, with what MMSegmentation's inference asks for."""
    steps = [as_built(step) for step in pipeline if not loads_labels(step)]
    preprocessor = _preprocessor(network.preprocessor, marks_nodata=any(map(_marks_nodata, steps)))
    model = {**network.config, 'data_preprocessor': preprocessor, 'auxiliary_head': None}
    dataset = {
        'type': 'BaseSegDataset',
        'metainfo': {'classes': network.classes, 'palette': network.palette},
        'data_root': '.',
        'data_prefix': {'img_path': ''},
        'test_mode': True,
        'pipeline': steps,
    }
    return {
        'default_scope': 'mmseg',
        'model': model,
        'test_pipeline': steps,
        'test_dataloader': {
            'batch_size': 1,
            'num_workers': 0,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            'dataset': dataset,
        },
        'visualizer': {'type': 'SegLocalVisualizer', 'vis_backends': [], 'name': 'visualizer'},
    }


def _preprocessor(settings: Mapping[str, Any], *, marks_nodata: bool) -> dict[str, Any]:
    """MMSegmentation's own preprocessor where it can do the same: one or three channels, data in every pixel."""
    mean = settings.get('mean') or ()
    if settings.get('type') != 'PairedDomainDataPreprocessor' or len(mean) not in (1, 3) or marks_nodata:
        return dict(settings)
    return {**settings, 'type': 'SegDataPreProcessor'}


def _marks_nodata(step: Mapping[str, Any]) -> bool:
    kind = TRANSFORMS.get(str(step.get('type')))
    return isinstance(kind, type) and issubclass(kind, LoadRasterFromFile)


def _own_types(value: Any) -> Iterator[str]:
    """Types of this package that a config names, wherever."""
    if isinstance(value, Mapping):
        name = value.get('type')
        found = (MODELS.get(name) or TRANSFORMS.get(name)) if isinstance(name, str) else None
        if found is not None and found.__module__.partition('.')[0] == _PACKAGE:
            yield str(name)
        for entry in value.values():
            yield from _own_types(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from _own_types(entry)


@torch.no_grad()
def _check(network: Network, config: dict[str, Any], state: dict[str, Tensor]) -> None:
    """Build what the config says, load the weights, and compare its logits with the network's."""
    built = MODELS.build(config)
    built.load_state_dict(state)
    channels = len(network.preprocessor.get('mean') or (0, 0, 0))
    image = torch.randn(1, channels, _PROBE, _PROBE, generator=torch.Generator().manual_seed(0))
    before, after = image_logits(network.segmentor)(image), image_logits(built.eval())(image)
    if not torch.equal(before, after):
        difference = float((before - after).abs().max())
        remedy = f'report it with the config; dlc_mmseg is version {__version__}'
        raise UserError('model', f'the exported network predicts otherwise (logits differ by {difference:.2g})', remedy)
