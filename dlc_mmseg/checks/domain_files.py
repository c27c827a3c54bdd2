"""The files that each dataset of a config lists, and what is wrong with the listing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mmengine.dataset import BaseDataset
from mmseg.registry import DATASETS, METRICS

from dlc_mmseg.checks.causes import reason, remedy
from dlc_mmseg.checks.config_types import resolve
from dlc_mmseg.checks.evaluators import metrics_of
from dlc_mmseg.checks.missing_images import Listing, report_missing
from dlc_mmseg.checks.report import RAISED, Report
from dlc_mmseg.datasets.label_loading import loads_labels
from dlc_mmseg.datasets.nesting import leaf_configs, pair_config
from dlc_mmseg.datasets.split_file import encoding_fault

Role = Literal['source', 'target', 'validation', 'test']


@dataclass
class Tile:
    """An image that is there.

    Attributes:
        image: Its path.
        label: Path of its label image, where there is one and it is read.
        info: The dataset's entry.
        index: Its index in the dataset.
    """

    image: str
    label: str | None
    info: dict[str, Any]
    index: int


@dataclass
class Domain:
    """One dataset without datasets below it.

    Attributes:
        role: What it is for.
        name: Field of the config that holds it.
        config: Its config.
        dataset: The built dataset.
        tiles: The images that exist.
        scored_without_labels: Whether it is validated on by scores that need no labels (`LabelFreeMetric`).
    """

    role: Role
    name: str
    config: Mapping[str, Any]
    dataset: Any
    tiles: list[Tile] = field(default_factory=list)
    scored_without_labels: bool = False

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return list(self.dataset.metainfo.get('classes') or ())

    @property
    def labelled(self) -> bool:
        """Whether its labels are read."""
        return self.role != 'target' and not self.scored_without_labels


def list_domains(config: Mapping[str, Any], report: Report) -> list[Domain]:
    """All datasets that training reads.

    Args:
        config: The whole config, as plain dicts.
        report: Receives what is wrong with folders, splits and names.

    Returns:
        The datasets that could be built, with the tiles that exist.
    """
    domains = []
    for role, name, dataset in dataset_configs(config):
        with report.attempt(name):
            domain = _build(role, name, dataset, report)
            if domain is not None:
                domain.scored_without_labels = role == 'validation' and _scored_without_labels(config)
                domains.append(domain)
                _list_tiles(domain, report)
                report.images[role] = report.images.get(role, 0) + len(domain.tiles)
    return domains


def dataset_configs(config: Mapping[str, Any]) -> Iterator[tuple[Role, str, Mapping[str, Any]]]:
    """Configs of the datasets that training reads.

    Args:
        config: The whole config.

    Yields:
        Role, field, and config of each dataset without datasets below it.
    """
    given: list[tuple[Role, str, Mapping[str, Any]]] = []
    pair = pair_config(config)
    train = (config.get('train_dataloader') or {}).get('dataset')
    if pair is not None:
        name, paired = pair
        given += [
            ('source', f'{name}.source', paired['source']),
            ('target', f'{name}.target', paired.get('target') or {}),
        ]
    elif train:
        given.append(('source', 'train_dataloader.dataset', train))
    validation = (config.get('val_dataloader') or {}).get('dataset')
    if validation:
        given.append(('validation', 'val_dataloader.dataset', validation))
    for role, field_name, dataset in given:
        for leaf_name, leaf in leaf_configs(dataset, field_name):
            yield role, leaf_name, leaf


def _scored_without_labels(config: Mapping[str, Any]) -> bool:
    kinds = [resolve(metric, METRICS) for _, metric in metrics_of(config, 'val')]
    return bool(kinds) and all(getattr(kind, 'needs_labels', True) is False for kind in kinds)


def image_paths(name: str, dataset: Mapping[str, Any]) -> list[str]:
    """Images that a dataset lists.

    Args:
        name: Field of the config that holds it.
        dataset: Its config; those below it are joined.

    Returns:
        Their paths; none of a dataset that cannot be built or listed.
    """
    return [tile.image for domain in unlisted_domains(name, dataset) for tile in domain.tiles]


def unlisted_domains(name: str, dataset: Mapping[str, Any], report: Report | None = None) -> list[Domain]:
    """Datasets that training does not read, with the tiles that exist.

    Args:
        name: Field of the config that holds them.
        dataset: Its config; those below it come one by one.
        report: Receives what is wrong with others; None keeps it quiet.

    Returns:
        Those that can be built and listed.
    """
    report, domains = report or Report(), []
    for field_name, leaf in leaf_configs(dataset, name):
        with report.attempt(field_name):
            domain = _build('test', field_name, leaf, report)
            if domain is not None:
                _list_tiles(domain, report)
                domains.append(domain)
    return domains


def _build(role: Role, name: str, config: Mapping[str, Any], report: Report) -> Domain | None:
    """The dataset, without reading any file; a palette that does not fit is left to another check."""
    if not config.get('type'):
        report.error(name, 'no dataset is given', "set type='BaseSegDataset' or another dataset of mmseg")
        return None
    lazy = {**config, 'lazy_init': True, 'pipeline': _pipeline(role, config), 'serialize_data': False}
    metainfo = config.get('metainfo') or {}
    if metainfo.get('classes') is not None:
        lazy['metainfo'] = {key: value for key, value in metainfo.items() if key != 'palette'}
    folder = image_folder(config)
    try:
        built = DATASETS.build(lazy)
        return Domain(role, name, config, built) if hasattr(built, 'data_prefix') else None  # else no dataset of files
    except RAISED as error:  # anything a dataset or a transform may raise while it is built
        if folder and '://' not in folder and not os.path.isdir(folder):
            _missing_folder(role, folder, name, report)  # some datasets assert that it exists
        else:
            report.error(name, f'does not build ({reason(error)})', remedy(error, 'correct this dataset in the config'))
        return None


def _pipeline(role: Role, config: Mapping[str, Any]) -> list[Any]:
    """Transforms of the dataset; those of a target load no labels (`PairedDomainDataset` sees to it)."""
    steps = list(config.get('pipeline') or [])
    return [step for step in steps if role != 'target' or not loads_labels(step)]


def image_folder(config: Mapping[str, Any]) -> str:
    """Folder of the images of a dataset.

    Args:
        config: Its config.
    """
    root, path = config.get('data_root') or '', (config.get('data_prefix') or {}).get('img_path')
    return os.path.join(root, path) if path else root


def _missing_folder(role: str, folder: str, name: str, report: Report) -> None:
    report.error(folder, f'{role} image folder is missing', f'correct data_root or data_prefix.img_path of {name}')


def _list_tiles(domain: Domain, report: Report) -> None:
    dataset = domain.dataset
    folder, split = str(dataset.data_prefix.get('img_path') or ''), str(dataset.ann_file or '')
    if '://' not in folder and not os.path.isdir(folder or '.'):
        _missing_folder(domain.role, folder, domain.name, report)
        return
    if split and '://' not in split and not os.path.isfile(split):
        remedy = f'correct ann_file of {domain.name} or leave it out'
        report.error(split, f'{domain.role} split file is missing', remedy)
        return
    if split and '://' not in split and (fault := encoding_fault(split)) is not None:
        report.error(split, f'{domain.role} split file {fault.what}', fault.remedy)
        return
    infos = _infos(domain, report)
    listing = Listing(domain.role, domain.name, folder, _suffix(dataset) or '', split)
    missing = report_missing([info['img_path'] for info in infos], listing, report)
    _repeated(domain, [info for info in infos if info['img_path'] not in missing], split, report)
    domain.tiles = [
        Tile(info['img_path'], info.get('seg_map_path') if domain.labelled else None, info, index)
        for index, info in enumerate(infos)
        if info['img_path'] not in missing
    ]


def _infos(domain: Domain, report: Report) -> list[dict[str, Any]]:
    dataset = domain.dataset
    try:
        dataset.full_init()
        infos = _entries(dataset)
    except RAISED as error:  # anything a dataset class may raise on what it finds
        what = f'cannot be listed ({reason(error)})'
        report.error(domain.name, what, remedy(error, 'correct this dataset in the config'))
        return []
    if not infos:
        _empty(domain, report)
    return [info for info in infos if 'img_path' in info]


def _entries(dataset: Any) -> list[dict[str, Any]]:
    """What a dataset lists, to be read only: `get_data_info` copies each entry deeply."""
    if getattr(type(dataset), 'get_data_info', None) is BaseDataset.get_data_info and not dataset.serialize_data:
        return list(dataset.data_list)
    return [dataset.get_data_info(index) for index in range(len(dataset))]


def _empty(domain: Domain, report: Report) -> None:
    dataset, suffix = domain.dataset, _suffix(domain.dataset)
    folder = str(dataset.data_prefix.get('img_path') or '')
    if dataset.ann_file:
        what, remedy = f'{domain.role} split file lists no image', f'write one name per line, without {suffix!r}'
        report.error(dataset.ann_file, what, remedy)
        return
    found = Counter(os.path.splitext(name)[1] for name in os.listdir(folder or '.'))
    there = ', '.join(f'{count} {ending or "without ending"}' for ending, count in found.most_common(3)) or 'nothing'
    report.error(
        folder,
        f'no {domain.role} image ends in {suffix!r} (found: {there})',
        f'correct the folder or img_suffix of {domain.name}',
    )


def _repeated(domain: Domain, infos: list[dict[str, Any]], split: str, report: Report) -> None:
    counts = Counter(info['img_path'] for info in infos)
    repeated = [path for path, count in counts.items() if count > 1]
    remedy = f'name each image once in {split}' if split else f'let {domain.name} list each image once'
    report.files('warning', repeated, f'{domain.role} image is listed more than once', remedy)


def _suffix(dataset: Any) -> str | None:
    suffix: str | None = getattr(dataset, 'img_suffix', None)
    return suffix
