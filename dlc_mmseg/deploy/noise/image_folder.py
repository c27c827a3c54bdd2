"""A config's test data, or any folder of images read as the config reads its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmseg.registry import DATASETS, TRANSFORMS

from dlc_mmseg.checks.folder_contents import left_out_images
from dlc_mmseg.datasets.label_loading import loads_labels
from dlc_mmseg.datasets.nesting import changed_configs, leaf_configs, leaf_datasets, pair_config
from dlc_mmseg.datasets.raster_loading import LoadRasterFromFile
from dlc_mmseg.errors import UserError

_READING = {'test_mode': True, 'serialize_data': False}  # an empty list cannot be serialised
_LABELLING = ('type', 'metainfo', 'seg_map_suffix', 'reduce_zero_label', 'ignore_index')


def config_dataset(config: Config) -> Any:
    """The dataset that a config tests on, or validates on; without its labels where their folder is missing.

    Args:
        config: A whole config.

    Returns:
        The dataset.

    Raises:
        UserError: If the config names none, or it holds no images.
    """
    dataset = _tested(config)
    if dataset is None:
        raise UserError(
            None, 'the config has neither test_dataloader nor val_dataloader, whose images to take', 'give --images'
        )
    return _built(_each(dataset, _without_missing_labels), 'test_dataloader.dataset', 'give --images')


def folder_dataset(
    config: Config, images: Path, labels: Path | None, *, suffix: str | None = None, label_suffix: str | None = None
) -> Any:
    """All images below a folder, with the classes and the pipeline of the config's test data.

    Of a config that tests on nothing, the target to train on gives the classes and how images are loaded, the source
    how labels are.

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
        UserError: If a folder is missing or holds no images of that suffix, or the config describes no data.
    """
    for folder in filter(None, (images, labels)):
        if not folder.is_dir():
            raise UserError(folder, 'no such folder', 'give one that exists')
    tested = _tested(config)
    described = _first(tested) if tested is not None else _trained(config, labelled=labels is not None)
    dataset = {key: value for key, value in described.items() if key not in ('data_root', 'indices')}
    dataset['ann_file'] = ''
    dataset['data_prefix'] = {'img_path': str(images), **({} if labels is None else {'seg_map_path': str(labels)})}
    if suffix is not None:
        dataset['img_suffix'] = suffix
    if label_suffix is not None:
        dataset['seg_map_suffix'] = label_suffix
    remedy = 'take a config whose test data are of a type that lists folders, such as BaseSegDataset'
    built = _built(dataset if labels is not None else _unlabelled(dataset), str(images), remedy)
    _warn_of_left_out(built, str(images))
    return built


def _warn_of_left_out(dataset: Any, folder: str) -> None:
    """Say which images of a folder the suffix does not find."""
    suffix = getattr(dataset, 'img_suffix', None)
    if not isinstance(suffix, str):
        return
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    labels = [os.path.normpath(info['seg_map_path']) for info in infos if info.get('seg_map_path')]
    left_out = left_out_images(folder, suffix, labels, len(dataset.metainfo.get('classes') or ()))
    if left_out is not None:
        text = f'{folder}: {left_out.what}: {left_out.remedy}, or give another --suffix'
        print_log(text, logger='current', level=logging.WARNING)


def _tested(config: Config) -> Mapping[str, Any] | None:
    """Config of the test or validation dataset; None if there is none."""
    datasets = ((config.get(name) or {}).get('dataset') for name in ('test_dataloader', 'val_dataloader'))
    return next(filter(None, datasets), None)


def _trained(config: Config, *, labelled: bool) -> dict[str, Any]:
    """Config of the target to train on, with a test pipeline; labels are read as those of the source."""
    found = pair_config(config.to_dict())
    if found is None or 'target' not in found[1]:
        raise UserError(
            None,
            'the config has no test_dataloader, val_dataloader or PairedDomainDataset, whose classes and pipeline are '
            'needed',
            'give it one',
        )
    source, target = _first(found[1]['source']), _first(found[1]['target'])
    pipeline = [step for step in target.get('pipeline', []) if _loads(step) and not loads_labels(step)]
    if labelled:
        pipeline += filter(loads_labels, source.get('pipeline', []))
        target = {key: value for key, value in target.items() if key not in _LABELLING}
        target |= {key: source[key] for key in _LABELLING if key in source}
    pack = 'PackRasterInputs' if any(_loads_rasters(step) for step in pipeline) else 'PackSegInputs'
    return {**target, 'pipeline': [*pipeline, {'type': pack}]}


def _first(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    """Config of the first dataset below any wrappers."""
    return next(leaf_configs(dataset, ''))[1]


def _each(dataset: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Config with every part of a concatenation changed; out of wrappers that repeat or mix."""

    def changed(part: dict[str, Any]) -> dict[str, Any]:
        if 'dataset' in part:
            inner: dict[str, Any] = part['dataset']
            return inner
        return part if 'datasets' in part else change(part)

    return changed_configs(dataset, changed)


def _without_missing_labels(dataset: dict[str, Any]) -> dict[str, Any]:
    labels = (dataset.get('data_prefix') or {}).get('seg_map_path')
    if labels and Path(dataset.get('data_root') or '', labels).is_dir():
        return dataset
    return _unlabelled(dataset)


def _unlabelled(dataset: dict[str, Any]) -> dict[str, Any]:
    pipeline = [step for step in dataset.get('pipeline', []) if not loads_labels(step)]
    prefix = {key: value for key, value in (dataset.get('data_prefix') or {}).items() if key != 'seg_map_path'}
    return {**dataset, 'pipeline': pipeline, 'data_prefix': prefix}


def _loads(step: Mapping[str, Any]) -> bool:
    return str(step['type']).rpartition('.')[2].startswith('Load')


def _loads_rasters(step: Mapping[str, Any]) -> bool:
    kind = TRANSFORMS.get(step['type']) if isinstance(step['type'], str) else step['type']
    return isinstance(kind, type) and issubclass(kind, LoadRasterFromFile)


def _built(dataset: dict[str, Any], name: str, remedy: str) -> Any:
    try:
        built = DATASETS.build(_each(dataset, lambda part: {**part, **_READING}))
    except Exception as error:  # datasets of any kind
        reason = ' '.join(str(error).split())[:200] or type(error).__name__
        raise UserError(name, f'cannot be read as a {dataset.get("type")} ({reason})', remedy) from error
    for leaf in leaf_datasets(built):
        if not len(leaf):
            folder, suffix = leaf.data_prefix.get('img_path'), getattr(leaf, 'img_suffix', '')
            raise UserError(folder, f'no images that end in {suffix!r}', 'give another folder or suffix')
    return built
