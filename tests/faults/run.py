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


@fault('no iterations', 'train_cfg', 'has no max_iters', 'IterBasedTrainLoop')
def _(root: Path, config: Config) -> None:
    del config.train_cfg['max_iters']


@fault('no checkpoint', 'default_hooks.checkpoint.interval', 'no checkpoint is ever written', 'lower it')
def _(root: Path, config: Config) -> None:
    config.merge_from_dict({'default_hooks.checkpoint': {'interval': 50, 'save_last': False}})
