"""Walking through datasets that hold datasets, such as `ConcatDataset` and `RepeatDataset`, built or as configs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """Datasets that list files, below any wrappers.

    Args:
        dataset: A built dataset.

    Yields:
        Each dataset without a dataset below it.
    """
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from leaf_datasets(part)
    elif hasattr(dataset, 'dataset'):
        yield from leaf_datasets(dataset.dataset)
    else:
        yield dataset


def leaf_configs(dataset: Mapping[str, Any], name: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Configs of the datasets that list files, below any wrappers.

    Args:
        dataset: Config of a dataset.
        name: Field of the config that holds it.

    Yields:
        Field and config of each dataset without a dataset below it.
    """
    if 'datasets' in dataset:
        for index, part in enumerate(dataset['datasets']):
            yield from leaf_configs(part, f'{name}.datasets.{index}')
    elif 'dataset' in dataset:
        yield from leaf_configs(dataset['dataset'], f'{name}.dataset')
    else:
        yield name, dataset


def pair_config(config: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Config of the dataset that training draws pairs of domains from, below any wrappers.

    Args:
        config: A whole config.

    Returns:
        Field and config of the dataset with ``source`` and ``target``; None if there is none.
    """
    name = 'train_dataloader.dataset'
    dataset = (config.get('train_dataloader') or {}).get('dataset') or {}
    while 'dataset' in dataset and 'source' not in dataset:
        name, dataset = f'{name}.dataset', dataset['dataset']
    return (name, dataset) if 'source' in dataset else None


def changed_configs(dataset: Mapping[str, Any], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Config with every dataset in it changed, from the inside out.

    Args:
        dataset: Config of a dataset; left as it is.
        change: Gives the new config of a dataset; is given wrappers with their parts changed already.

    Returns:
        The new config.
    """
    copied = dict(dataset)
    if 'datasets' in copied:
        copied['datasets'] = [changed_configs(part, change) for part in copied['datasets']]
    elif 'dataset' in copied:
        copied['dataset'] = changed_configs(copied['dataset'], change)
    return change(copied)
