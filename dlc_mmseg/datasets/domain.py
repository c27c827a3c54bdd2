"""One domain of a pair: an mmseg dataset, built and checked with errors a user can act on."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

from mmcv.transforms import BaseTransform, Compose
from mmseg.registry import DATASETS

from dlc_mmseg.datasets.draw_randomness import isolated_randomness
from dlc_mmseg.datasets.nesting import changed_configs, leaf_datasets
from dlc_mmseg.datasets.split_file import encoding_fault, name_faults
from dlc_mmseg.errors import UserError


def build_domain(dataset: Mapping[str, Any] | Any, domain: str) -> Any:
    """Build a dataset and check that it has classes and that every image it lists exists.

    Args:
        dataset: Config of an mmseg dataset, or one built already; wrappers such as `ConcatDataset` included.
        domain: ``source`` or ``target``, for messages.

    Returns:
        The dataset, fully initialised.

    Raises:
        UserError: If the config does not build, or the dataset is empty, lacks classes or files.
    """
    try:
        built = _build_lazily(dataset) if isinstance(dataset, Mapping) else dataset
    except UserError:
        raise
    except Exception as error:  # anything a dataset or a transform may raise while it is built
        raise UserError(f'{domain} dataset', _line(error), 'correct its config') from error
    for leaf in leaf_datasets(built):
        _check_folders(leaf, domain)
        try:
            leaf.full_init()
        except ValueError as error:  # numpy's complaint about serialising nothing
            if leaf.data_list:
                raise
            raise _empty(leaf, domain) from error
        if len(leaf) == 0:
            raise _empty(leaf, domain)
    built.full_init()
    if len(built.metainfo.get('classes') or ()) < 2:
        raise UserError(
            None, f'{domain} dataset names fewer than two classes', 'set metainfo=dict(classes=(...), palette=[...])'
        )
    _check_images(built, domain)
    return built


def missing_files(paths: Iterable[str]) -> list[str]:
    """Paths at which there is no file; every folder is listed once, which is fast on network drives too.

    What a listing lacks may open all the same, where a disk ignores case or writes accents in another way.

    Args:
        paths: Local paths; remote ones (``scheme://``) are taken to exist.

    Returns:
        The missing ones, in order.
    """
    listings: dict[str, frozenset[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listings:
            listings[folder] = frozenset(os.listdir(folder or '.')) if os.path.isdir(folder or '.') else frozenset()
        if name not in listings[folder] and '://' not in path and not os.path.exists(path):
            missing.append(path)
    return missing


def first_item(dataset: Any, domain: str) -> dict[str, Any]:
    """Run the pipeline once, so that a wrong one is found before training; global random states stay untouched.

    Args:
        dataset: The built dataset.
        domain: ``source`` or ``target``, for messages.

    Returns:
        The packed item ``inputs``, ``data_samples``.

    Raises:
        UserError: If the pipeline fails or does not end in packed inputs.
    """
    path = dataset.get_data_info(0).get('img_path')
    try:
        with isolated_randomness(0, 0):
            item = dataset[0]
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # a step may end the process where it should raise
        remedy = 'correct the pipeline or the file'
        if isinstance(error, KeyError) and 'gt_seg_map' in str(error):
            remedy = 'a step needs labels: add dict(type="LoadAnnotations") before it'
            if domain == 'target':
                remedy = 'a step needs labels, which the target has not: in RandomCrop leave out cat_max_ratio'
        text, step = _line(error), _failing_step(error)
        fault = f'{type(error).__name__}: {text}' if text else f'{type(error).__name__}{step}'
        raise UserError(path, f'{domain} pipeline fails ({fault})', remedy) from error
    if not isinstance(item, dict) or not {'inputs', 'data_samples'} <= item.keys():
        raise UserError(None, f'{domain} pipeline packs no inputs', 'end it with dict(type="PackSegInputs")')
    return item


def _failing_step(error: BaseException) -> str:
    """Where in the pipeline an exception comes from, for one that says nothing."""
    names = [
        type(owner).__name__
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if isinstance(owner := frame.f_locals.get('self'), BaseTransform) and not isinstance(owner, Compose)
    ]
    return f' in {names[-1]}' if names else ''


def _build_lazily(config: Mapping[str, Any]) -> Any:
    return DATASETS.build(changed_configs(config, lambda part: {**part, 'lazy_init': True}))


def _check_folders(leaf: Any, domain: str) -> None:
    folder, split = str(leaf.data_prefix.get('img_path') or ''), str(leaf.ann_file or '')
    if '://' not in folder and not os.path.isdir(folder or '.'):
        raise UserError(folder, f'{domain} image folder is missing', 'correct data_root or data_prefix.img_path')
    if split and '://' not in split:
        if not os.path.exists(split):
            raise UserError(split, f'{domain} split file is missing', 'correct ann_file or leave it out')
        fault = encoding_fault(split) if os.path.isfile(split) else None
        if fault is not None:
            raise UserError(split, f'{domain} split file {fault.what}', fault.remedy)


def _check_split(leaf: Any, domain: str) -> None:
    folder, suffix = str(leaf.data_prefix.get('img_path') or ''), leaf.__dict__.get('img_suffix') or ''
    if '://' in folder or not os.path.isfile(leaf.ann_file or ''):
        return
    for fault in name_faults(leaf.ann_file, lambda name: os.path.exists(os.path.join(folder, name + suffix))):
        raise UserError(leaf.ann_file, f'{domain} split file: {fault.what}', fault.remedy)


def _check_images(dataset: Any, domain: str) -> None:
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    missing = missing_files(paths)
    if missing:
        for leaf in leaf_datasets(dataset):
            _check_split(leaf, domain)
        raise UserError(
            missing[0],
            f'{domain} image is missing ({len(missing)} of {len(paths)} are)',
            'split files list one name per line without img_suffix',
        )


def _empty(leaf: Any, domain: str) -> UserError:
    folder, suffix, split = leaf.data_prefix.get('img_path'), leaf.__dict__.get('img_suffix'), leaf.ann_file
    if split:
        return UserError(split, f'{domain} split file lists no image', f'write one name per line, without {suffix!r}')
    return UserError(folder, f'no {domain} image ends in {suffix!r}', 'correct the folder or img_suffix')


def _line(error: BaseException) -> str:
    return ' '.join(str(error).split())
