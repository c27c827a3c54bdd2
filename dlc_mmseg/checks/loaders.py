"""Arguments of the data loaders that are missing or exclude each other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, SequentialSampler

from dlc_mmseg.checks.report import RAISED, Report, one_line

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
"""Fields that hold data loaders."""

_BUILT = ('dataset', 'sampler', 'batch_sampler', 'collate_fn', 'worker_init_fn')
_OF_MMENGINE = ('num_batch_per_epoch', 'disable_subprocess_warning')
_NEED_WORKERS = {
    'persistent_workers': 'set it to False',
    'prefetch_factor': 'leave it out',
    'timeout': 'leave it out',
    'multiprocessing_context': 'leave it out',
}


def check_loaders(config: Mapping[str, Any], report: Report) -> None:
    """Find data loaders that PyTorch or MMEngine would refuse to build, before the datasets are built for them.

    Args:
        config: The whole config.
        report: Receives what they would refuse.
    """
    for name in LOADERS:
        loader = config.get(name)
        if isinstance(loader, Mapping) and loader:
            _check_loader(name, loader, report)


def _check_loader(name: str, loader: Mapping[str, Any], report: Report) -> None:
    if 'sampler' not in loader:
        sampler = "'PairedDomainSampler'" if name == 'train_dataloader' else "'DefaultSampler', shuffle=False"
        report.error(f'{name}.sampler', 'is missing', f'set it to dict(type={sampler})')
    needs = [key for key in _NEED_WORKERS if loader.get(key)]
    if needs and loader.get('num_workers', 0) == 0:
        for key in needs:
            what = f'{loader[key]} needs worker processes, num_workers is 0'
            report.error(f'{name}.{key}', what, f'{_NEED_WORKERS[key]}, or set num_workers to at least 1')
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of more workers than this machine has cores
            _build(loader)
    except RAISED as error:  # anything PyTorch may raise on its arguments
        remedy = "correct the argument it names (those of torch.utils.data.DataLoader, and MMEngine's)"
        report.error(name, f'does not build ({one_line(error)})', remedy)


def _build(loader: Mapping[str, Any]) -> None:
    """The loader as MMEngine builds it, of a stand-in for the dataset; no process is started."""
    arguments = {key: value for key, value in loader.items() if key not in (*_BUILT, *_OF_MMENGINE)}
    stand_in = range(8)
    if loader.get('batch_sampler') is not None:
        arguments.pop('batch_size', None)  # which MMEngine gives to the batch sampler
        DataLoader(stand_in, batch_sampler=BatchSampler(stand_in, 1, drop_last=False), **arguments)  # type: ignore[arg-type]
        return
    sampler = None if loader.get('sampler') is None else SequentialSampler(stand_in)
    DataLoader(stand_in, sampler=sampler, **arguments)  # type: ignore[arg-type]
