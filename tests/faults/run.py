"""Schedules, work folders and checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from tiny_run import ITERATIONS

from faults.injecting import fault, field_fault

field_fault(
    'work_dir below a file',
    'work_dir',
    lambda r: str(r / 'source/img/t00.png/work'),
    'is no folder',
    'another --work-dir',
    where='/source/img/t00.png/work',
)
field_fault(
    'work_dir that cannot be written',
    'work_dir',
    '/proc/1/dlc',
    'cannot be written',
    'another --work-dir',
    where='/proc/1',
)
field_fault(
    'load_from missing',
    'load_from',
    lambda r: str(r / 'none.pth'),
    'does not exist (load_from)',
    'name a .pth file',
    where='/none.pth',
)
field_fault('load_from is a folder', 'load_from', str, 'is a folder (load_from)', 'name a .pth file', where='/')
field_fault(
    'pre-trained weights missing',
    'model.segmentor.backbone.init_cfg',
    {'type': 'Pretrained', 'checkpoint': 'no.pth'},
    'does not exist (model.segmentor.backbone.init_cfg.checkpoint)',
    'name a .pth file',
    where='no.pth',
)


def save(root: Path, content: Any) -> Path:
    torch.save(content, root / 'start.pth')
    return root / 'start.pth'


@fault('load_from of a run that broke down', '/start.pth', 'NaN or infinite', 'such as a.b', 'before its', alone=False)
def _(root: Path, config: Config) -> None:
    weights = {'a': torch.ones(2), 'a.b': torch.tensor([0.0, float('nan')]), 'count': torch.tensor(3)}
    config.load_from = str(save(root, {'state_dict': weights}))


@fault('load_from truncated', '/start.pth', 'cannot be read', 'cut off', '(load_from)')
def _(root: Path, config: Config) -> None:
    path = save(root, {'state_dict': {'a': torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:-1000])
    config.load_from = str(path)


class _Call:
    def __reduce__(self) -> Any:
        return os.mkdir, ('never made',)


@fault('load_from that would run code', '/start.pth', 'refused', 'mkdir', 'state_dict only')
def _(root: Path, config: Config) -> None:
    config.load_from = str(save(root, {'state_dict': {}, 'x': _Call()}))


@fault('load_from of another model', '/start.pth', 'none of its 1 tensors', 'of this model')
def _(root: Path, config: Config) -> None:
    config.load_from = str(save(root, {'state_dict': {'stem.weight': torch.zeros(1)}}))


@fault(
    'load_from with other classes',
    '/start.pth',
    '2 tensors have another shape',
    'decode_head.conv_seg.bias: (6,)',
    'same architecture',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    head = {'decode_head.conv_seg.weight': torch.zeros(6, 8, 1, 1), 'decode_head.conv_seg.bias': torch.zeros(6)}
    config.load_from = str(save(root, {'state_dict': head}))


@fault(
    'nothing to resume',
    '/work/last_checkpoint',
    'nothing to resume',
    '--work-dir of the earlier run',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    config.resume = True


@fault(
    'last checkpoint gone', '/work/last_checkpoint', 'names', 'iter_9.pth, which does not exist', 'earlier checkpoint'
)
def _(root: Path, config: Config) -> None:
    (root / 'work').mkdir()
    (root / 'work/last_checkpoint').write_text(str(root / 'iter_9.pth'), encoding='utf-8')
    config.resume = True


@fault('last checkpoint truncated', '/start.pth', 'cannot be read', 'cut off', 'last_checkpoint)')
def _(root: Path, config: Config) -> None:
    (root / 'work').mkdir()
    path = save(root, {'state_dict': {'a': torch.zeros(1000)}})
    path.write_bytes(path.read_bytes()[:-1000])
    (root / 'work/last_checkpoint').write_text(str(path), encoding='utf-8')
    config.resume = True


@fault('resuming from weights', '/start.pth', 'holds no meta and no optimizer', 'set resume=False')
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'load_from': str(save(root, {'state_dict': {}})), 'resume': True})


@fault(
    'resuming a finished run',
    '/start.pth',
    f'has trained {ITERATIONS} of {ITERATIONS}',
    'raise train_cfg.max_iters',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    content = {'meta': {'iter': ITERATIONS}, 'optimizer': {}, 'message_hub': {}, 'state_dict': {}}
    config.merge_from_dict({'load_from': str(save(root, content)), 'resume': True})


field_fault(
    'validation without evaluator',
    'val_evaluator',
    None,
    'is missing, val_dataloader and val_cfg are given',
    'all three',
)
field_fault(
    'validation never reached', 'train_cfg.val_interval', 500, 'never validates', 'lower it', severity='warning'
)
field_fault(
    'schedule of another length',
    'param_scheduler.0.end',
    99,
    f'ends at 99, training at {ITERATIONS}',
    'end at 2',
    where='param_scheduler',
    severity='warning',
)
field_fault(
    'sampler that cannot resume',
    'train_dataloader.sampler.type',
    'InfiniteSampler',
    'a resumed run differs',
    "'PairedDomainSampler'",
    severity='warning',
)
field_fault(
    'package not imported', 'custom_imports', None, 'does not name dlc_mmseg', 'add custom_imports', severity='warning'
)
field_fault(
    'unsafe loaders',
    'custom_imports.imports',
    ['dlc_mmseg'],
    "whose loaders may run code in a file or refuse the run's own",
    "add 'dlc_mmseg.safe_files' to its imports",
    where='custom_imports',
    severity='warning',
)


@fault(
    'best checkpoint without validation',
    'default_hooks.checkpoint.save_best',
    "'mIoU' is never measured",
    'None',
    severity='warning',
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None})
    config.merge_from_dict({'default_hooks.checkpoint.save_best': 'mIoU'})


field_fault(
    'best checkpoint by a misspelt score',
    'default_hooks.checkpoint.save_best',
    'miou',
    "'miou' is no score of val_evaluator, which gives aAcc, mIoU, mAcc: training stops at the first validation",
    "set it to 'mIoU'",
)
field_fault(
    'misspelt argument of a checkpoint hook',
    'default_hooks.checkpoint.save_optimiser',
    False,
    'training stops at the first checkpoint',
    'save_optimizer may be meant',
)


@fault('no iterations', 'train_cfg', 'has no max_iters', 'IterBasedTrainLoop')
def _(root: Path, config: Config) -> None:
    del config.train_cfg['max_iters']


@fault('no checkpoint', 'default_hooks.checkpoint.interval', 'no checkpoint is ever written', 'lower it')
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'default_hooks.checkpoint': {'interval': 50, 'save_last': False}})


field_fault(
    'epochs of a sampler that never ends',
    'train_cfg',
    {'_delete_': True, 'type': 'EpochBasedTrainLoop', 'max_epochs': 2, 'val_interval': 1},
    'PairedDomainSampler never ends',
    'IterBasedTrainLoop',
    where='train_cfg',
)
field_fault(
    'epochs without a type',
    'train_cfg',
    {'_delete_': True, 'by_epoch': True, 'max_epochs': 2},
    'PairedDomainSampler never ends',
    'IterBasedTrainLoop',
    where='train_cfg',
)


@fault('epochs of the endless sampler of MMEngine', 'train_cfg', 'InfiniteSampler never ends', alone=False)
def _(root: Path, config: Config) -> None:
    loop = {'_delete_': True, 'type': 'mmengine.EpochBasedTrainLoop', 'max_epochs': 2}
    config.merge_from_dict({'train_cfg': loop, 'train_dataloader.sampler.type': 'mmengine.InfiniteSampler'})


for _loader in ('val_dataloader', 'test_dataloader'):
    field_fault(
        f'endless {_loader}',
        f'{_loader}.sampler',
        {'_delete_': True, 'type': 'InfiniteSampler'},
        'InfiniteSampler never ends',
        'DefaultSampler',
    )
for _loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
    field_fault(
        f'persistent workers without workers in {_loader}',
        f'{_loader}.persistent_workers',
        True,
        'needs worker processes, num_workers is 0',
        'set it to False, or set num_workers to at least 1',
    )
field_fault('prefetching without workers', 'val_dataloader.prefetch_factor', 4, 'num_workers is 0', 'leave it out')
field_fault('time limit without workers', 'val_dataloader.timeout', 30, 'num_workers is 0', 'leave it out')
field_fault(
    'shuffling beside a sampler', 'train_dataloader.shuffle', True, 'sampler option is mutually exclusive',
    where='train_dataloader',
)  # fmt: skip
field_fault(
    'unknown argument of a loader', 'val_dataloader.num_worker', 2, "'num_worker", 'DataLoader', where='val_dataloader'
)


@fault('no sampler', 'train_dataloader.sampler', 'is missing', "'PairedDomainSampler'")
def _(root: Path, config: Config) -> None:
    del config.train_dataloader['sampler']


field_fault('argument of the other loop', 'train_cfg.max_epochs', 9, 'no argument of IterBasedTrainLoop', 'remove it')
field_fault('loop twice', 'train_cfg.by_epoch', False, 'has both type and by_epoch', where='train_cfg')
field_fault('unknown loop', 'train_cfg.type', 'IterLoop', "'IterLoop' is not registered", "'IterBasedTrainLoop'")
field_fault(
    'checkpoints by epoch',
    'default_hooks.checkpoint.by_epoch',
    True,
    'no checkpoint is written before the end',
    'False',
)


@fault('checkpoints by epoch unless told otherwise', 'default_hooks.checkpoint.by_epoch', 'before the end', 'False')
def _(root: Path, config: Config) -> None:
    del config.default_hooks.checkpoint['by_epoch']


@fault('no checkpoint named', 'default_hooks.checkpoint.by_epoch', 'before the end', 'an interval of iterations')
def _(root: Path, config: Config) -> None:
    del config.default_hooks['checkpoint']


@fault('no logger named', 'default_hooks.logger.log_metric_by_epoch', 'drawn at one point', severity='warning')
def _(root: Path, config: Config) -> None:
    del config.default_hooks['logger']


field_fault('log of an epoch', 'log_processor.window_size', 'epoch', "is 'epoch'", 'first line of the log', 'a number')
field_fault(
    'part of the log of an epoch',
    'log_processor.custom_cfg',
    [{'data_src': 'loss', 'method_name': 'mean', 'window_size': 'epoch'}],
    'is an epoch, train_cfg counts iterations',
    "give a number of iterations or 'global'",
    where='log_processor.custom_cfg.0.window_size',
)
field_fault(
    'rates by epoch', 'param_scheduler.0.by_epoch', True, 'PolyLR counts epochs', 'never step', 'set it to False'
)


@fault('rates by epoch unless told otherwise', 'param_scheduler.1.by_epoch', 'LinearLR counts epochs', 'never step')
def _(root: Path, config: Config) -> None:
    config.param_scheduler.append({'type': 'LinearLR', 'start_factor': 1e-3, 'begin': 0, 'end': 1})


field_fault(
    'log by epoch',
    'log_processor',
    {'_delete_': True},
    'remaining time are logged wrong',
    where='log_processor.by_epoch',
    severity='warning',
)
field_fault(
    'validations at one point',
    'default_hooks.logger',
    {'_delete_': True, 'type': 'LoggerHook'},
    'all validations are drawn at one point',
    where='default_hooks.logger.log_metric_by_epoch',
    severity='warning',
)
field_fault(
    'profiler by epoch',
    'custom_hooks',
    [{'type': 'ProfilerHook'}],
    'acts once, at the end',
    where='custom_hooks.0.by_epoch',
    severity='warning',
)
field_fault(
    'average that never begins',
    'custom_hooks',
    [{'type': 'EMAHook', 'begin_epoch': 3}],
    '3 is never reached',
    'begin_iter',
    where='custom_hooks.0.begin_epoch',
    severity='warning',
)
field_fault('validation begun too late', 'train_cfg.val_begin', 3, 'never validates', 'lower it', severity='warning')


@fault(
    'validation at every iteration', 'train_cfg.val_interval', 'validates 4000 times', 'as in 400', severity='warning'
)
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'train_cfg.max_iters': 4000, 'param_scheduler.0.end': 4000, 'train_cfg.val_interval': 1})
    config.model.transition.total_iterations = 4000
    config.default_hooks.checkpoint.interval = 400


def _epochs(config: Config, schedule: dict[str, Any]) -> None:
    """A loop of two epochs whose sampler ends, with validation and checkpoints by epoch."""
    config.merge_from_dict({
        'train_cfg': {'_delete_': True, 'type': 'EpochBasedTrainLoop', 'max_epochs': 2, 'val_interval': 1},
        'train_dataloader.sampler': {'_delete_': True, 'type': 'DefaultSampler', 'shuffle': True},
        'default_hooks.checkpoint.by_epoch': True,
        'param_scheduler': [{'type': 'PolyLR', **schedule}],
    })  # fmt: skip


@fault('epochs counted as iterations', 'param_scheduler', 'ends at iteration 2', severity='warning', alone=False)
def _(root: Path, config: Config) -> None:
    _epochs(config, {'end': 2, 'by_epoch': False})


@fault(
    'iterations counted as epochs', 'param_scheduler', 'ends at 4000, training at 2', severity='warning', alone=False
)
def _(root: Path, config: Config) -> None:
    _epochs(config, {'end': 4000})


field_fault(
    'schedule that ends before it begins',
    'param_scheduler.0.begin',
    9,
    'does not build (end should be larger',
    where='param_scheduler.0',
)
field_fault('unknown argument of a schedule', 'param_scheduler.0.powr', 1.0, "'powr", where='param_scheduler.0')
