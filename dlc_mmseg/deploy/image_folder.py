"""A config's test data, or any folder of images read as the config's test pipeline reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg.registry import DATASETS

from dlc_mmseg.errors import UserError


def config_dataset(config: Config) -> Any:
    """The dataset that a config tests on, or validates on; without its labels where their folder is missing.

    Args:
        config: A whole config.

    Returns:
        The dataset.

    Raises:
        UserError: If the config names none, or it holds no images.
    """
    dataset = _described(config)
    labels = (dataset.get('data_prefix') or {}).get('seg_map_path')
    if not labels or not Path(dataset.get('data_root') or '', labels).is_dir():
        dataset = _unlabelled(dataset)
    return _built(dataset, 'test_dataloader.dataset', 'give --images')


def folder_dataset(
    config: Config, images: Path, labels: Path | None, *, suffix: str | None = None, label_suffix: str | None = None
) -> Any:
    """All images below a folder, with the classes and the pipeline of the config's test data.

    Args:
        config: A whole config.
        images: Folder of the images.
        labels: Folder of label images under the same relative names, in the encoding of the config's own; None where
            there are none.
        suffix: How names of images end; None takes that of the config's data.
        label_suffix: How names of label images end, likewise.

    Returns:
        The dataset.

    Raises:
        UserError: If a folder is missing or holds no images of that suffix.
    """
    for folder in filter(None, (images, labels)):
        if not folder.is_dir():
            raise UserError(f'{folder}: no such folder: give one that exists')
    dataset = {key: value for key, value in _described(config).items() if key not in ('data_root', 'indices')}
    dataset['ann_file'] = ''
    dataset['data_prefix'] = {'img_path': str(images), **({} if labels is None else {'seg_map_path': str(labels)})}
    if suffix is not None:
        dataset['img_suffix'] = suffix
    if label_suffix is not None:
        dataset['seg_map_suffix'] = label_suffix
    remedy = 'take a config whose test data are of a type that lists folders, such as BaseSegDataset'
    return _built(dataset if labels is not None else _unlabelled(dataset), str(images), remedy)


def _described(config: Config) -> dict[str, Any]:
    """Config of the test or validation dataset, out of its wrappers."""
    for name in ('test_dataloader', 'val_dataloader'):
        dataset = (config.get(name) or {}).get('dataset')
        while isinstance(dataset, Mapping) and ('dataset' in dataset or 'datasets' in dataset):
            dataset = dataset['dataset'] if 'dataset' in dataset else dataset['datasets'][0]
        if dataset:
            return {**dataset}
    raise UserError(
        'the config has neither test_dataloader nor val_dataloader, whose classes and pipeline are needed: give it one'
    )


def _unlabelled(dataset: dict[str, Any]) -> dict[str, Any]:
    pipeline = [step for step in dataset.get('pipeline', []) if not _loads_labels(step)]
    prefix = {key: value for key, value in (dataset.get('data_prefix') or {}).items() if key != 'seg_map_path'}
    return {**dataset, 'pipeline': pipeline, 'data_prefix': prefix}


def _loads_labels(step: Mapping[str, Any]) -> bool:
    name = str(step['type']).rpartition('.')[2]
    return name.startswith('Load') and 'Annotation' in name


def _built(dataset: dict[str, Any], name: str, remedy: str) -> Any:
    try:
        built = DATASETS.build({**dataset, 'test_mode': True, 'serialize_data': False})  # nothing cannot be serialised
    except Exception as error:  # datasets of any kind
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise UserError(f'{name}: cannot be read as a {dataset.get("type")} ({reason}): {remedy}') from error
    if not len(built):
        suffix = getattr(built, 'img_suffix', '')
        raise UserError(f'{name}: no images that end in {suffix!r}: give another folder or suffix')
    return built
