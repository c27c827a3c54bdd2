"""Loops, sampler, validation and memory: what a run is told to do."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmseg.registry import DATA_SAMPLERS, DATASETS, HOOKS, RUNNERS

from dlc_mmseg.checks.config_types import is_kind, parameters_of, resolve, type_name
from dlc_mmseg.checks.loops import hooks_of, schedulers_of, unit_of
from dlc_mmseg.checks.model_config import meant
from dlc_mmseg.checks.pipelines import Outputs
from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.paired_dataset import PairedDomainDataset
from dlc_mmseg.datasets.paired_sampler import PairedDomainSampler

_SHARED_MEMORY = Path('/dev/shm')
_VALIDATION = ('val_dataloader', 'val_cfg', 'val_evaluator')


def check_schedule(config: Mapping[str, Any], report: Report) -> None:
    """Find contradictions between loop, schedule, validation and hooks.

    Args:
        config: The whole config.
        report: Receives them.
    """
    loop = config.get('train_cfg') or {}
    iterations = loop.get('max_iters')
    if not config.get('train_dataloader'):
        report.error('train_dataloader', 'is missing', 'start from one of the configs of `dlc-mmseg configs`')
    length = {'iterations': 'max_iters', 'epochs': 'max_epochs'}.get(unit_of(loop) or '')
    if loop.get(length) is None if length else iterations is None and loop.get('max_epochs') is None:
        remedy = "set dict(type='IterBasedTrainLoop', max_iters=..., val_interval=...)"
        report.error('train_cfg', f'has no {length or "max_iters"}', remedy)
    _check_custom_imports(config, report)
    _check_validation(config, report)
    _check_checkpoint_hooks(config, report)
    if iterations is not None:
        _check_learning_rate(config, iterations, report)
    _check_sampler(config.get('train_dataloader') or {}, report)


def _check_sampler(loader: Mapping[str, Any], report: Report) -> None:
    sampler = loader.get('sampler')
    if not sampler or not is_kind(loader.get('dataset'), DATASETS, PairedDomainDataset):
        return
    if not is_kind(sampler, DATA_SAMPLERS, PairedDomainSampler):
        what = f'{type_name(sampler)} does not number its draws: a resumed run differs from an uninterrupted one'
        report.warning('train_dataloader.sampler.type', what, "set it to 'PairedDomainSampler'")


def _check_custom_imports(config: Mapping[str, Any], report: Report) -> None:
    imports = (config.get('custom_imports') or {}).get('imports') or []
    imports = [imports] if isinstance(imports, str) else imports
    if not any(str(name).split('.')[0] == 'dlc_mmseg' for name in imports):
        remedy = "add custom_imports=dict(imports=['dlc_mmseg', 'dlc_mmseg.safe_files'], allow_failed_imports=False)"
        report.warning('custom_imports', 'does not name dlc_mmseg: `mim train` may not find its parts', remedy)
    elif 'dlc_mmseg.safe_files' not in imports and config.get('runner_type') != 'PreflightRunner':
        what = "loads checkpoints as MMEngine does, whose loaders may run code in a file or refuse the run's own"
        report.warning('custom_imports', what, "add 'dlc_mmseg.safe_files' to its imports")


def _check_validation(config: Mapping[str, Any], report: Report) -> None:
    given = [name for name in _VALIDATION if config.get(name) is not None]
    if given and len(given) < len(_VALIDATION):
        absent = [name for name in _VALIDATION if name not in given]
        what = f'is missing, {" and ".join(given)} {"is" if len(given) == 1 else "are"} given'
        report.error(absent[0], what, 'give all three, or set all three to None')
    checkpoint = (config.get('default_hooks') or {}).get('checkpoint') or {}
    loop = config.get('train_cfg') or {}
    length = 'max_epochs' if unit_of(loop) == 'epochs' else 'max_iters'
    end = loop.get(length)
    for key in ('val_interval', 'val_begin'):
        number = loop.get(key)
        if len(given) == len(_VALIDATION) and end and number and number > end:
            report.warning(
                f'train_cfg.{key}', f'{number} exceeds {length} ({end}): the run never validates', 'lower it'
            )
    every, counted = checkpoint.get('interval'), 'max_epochs' if checkpoint.get('by_epoch', True) else 'max_iters'
    if end and every and counted == length and every > end and not checkpoint.get('save_last', True):
        what = f'{every} exceeds {length} ({end}): no checkpoint is ever written'
        report.error('default_hooks.checkpoint.interval', what, 'lower it')


def _check_checkpoint_hooks(config: Mapping[str, Any], report: Report) -> None:
    """Find arguments that `CheckpointHook` does not have: it hands them on, and stops at the first checkpoint."""
    runner = resolve(config.get('runner_type') or 'Runner', RUNNERS)
    for field, hook in hooks_of(config):
        if (
            resolve(hook, HOOKS) is not CheckpointHook
            or getattr(runner, 'save_checkpoint', None) is not Runner.save_checkpoint
        ):
            continue
        known = [name for name, item in parameters_of(CheckpointHook).items() if item.kind is not item.VAR_KEYWORD]
        for key in hook:
            if key not in (*known, 'type', '_scope_', 'priority'):
                what = 'is no argument of CheckpointHook: training stops at the first checkpoint'
                report.error(f'{field}.{key}', what, meant(key, known))


def _check_learning_rate(config: Mapping[str, Any], iterations: int, report: Report) -> None:
    schedulers = [item for _, item in schedulers_of(config)]
    counted = [item for item in schedulers if not item.get('by_epoch', True) and isinstance(item.get('end'), int)]
    last = max((item['end'] for item in counted), default=iterations)
    if last != iterations:
        what = f'the schedule ends at {last}, training at {iterations} (train_cfg.max_iters)'
        report.warning('param_scheduler', what, f'let its last part end at {iterations}')


def check_shared_memory(config: Mapping[str, Any], outputs: Mapping[str, Outputs], report: Report) -> None:
    """Compare what worker processes hand over with the shared memory of the machine.

    Args:
        config: The whole config.
        outputs: What the pipelines give.
        report: Receives a shortage.
    """
    loader = config.get('train_dataloader') or {}
    workers, batch = loader.get('num_workers') or 0, loader.get('batch_size') or 1
    if not workers or not _SHARED_MEMORY.is_dir() or not outputs:
        return
    widths = {'uint8': 1, 'uint16': 2, 'int16': 2, 'float16': 2, 'float64': 8}
    pixels = max(height * width for output in outputs.values() for height, width in output.sizes)
    image = max(output.channels * widths.get(output.dtype, 4) for output in outputs.values())
    needed = workers * (loader.get('prefetch_factor') or 2) * batch * pixels * (2 * image + 8)
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if needed > free:
        what = f'{workers} workers hand over about {needed / 2**30:.1f} GiB, /dev/shm has {free / 2**30:.1f} free'
        remedy = 'lower it, or start the container with a larger --shm-size'
        report.warning('train_dataloader.num_workers', what, remedy)
