"""What will be trained on what, in ten lines before the first iteration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import nn

from dlc_mmseg.errors import shown_path
from dlc_mmseg.files.atomic_writing import write_atomically
from dlc_mmseg.models.branchwise_parallel import unwrapped
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor
from dlc_mmseg.models.segmentors.mean_teacher import MeanTeacherSegmentor

SUMMARY_FILE = 'run.json'
"""Beside the log of a run: its summary as a JSON object, one text per line of the summary."""


@HOOKS.register_module()
class RunSummaryHook(Hook):
    """Says before the first iteration what is trained on what, and writes it beside the log as ``run.json``.

    Put it into ``default_hooks``. It reads what was built, so that what it says is what happens, whichever config
    files and options it came from. The config as a whole is in the log file.
    """

    priority = 'LOWEST'  # after the hooks that choose statistics, folders and crops

    def before_train(self, runner: Runner) -> None:
        """Log the summary.

        Args:
            runner: The runner, with everything built.
        """
        if not is_main_process():
            return
        summary = dict(summarise(runner))
        width = max(map(len, summary))
        lines = [f'{name:<{width}}  {text}' for name, text in summary.items()]
        runner.logger.info('\n'.join(['what is trained', *(f'  {line}' for line in lines)]))
        text = json.dumps(summary, indent=1, ensure_ascii=False) + '\n'
        write_atomically(Path(runner.log_dir, SUMMARY_FILE), text.encode('utf-8', 'backslashreplace'))


def summarise(runner: Runner) -> Iterator[tuple[str, str]]:
    """The summary of a run that is about to train.

    Args:
        runner: The runner.

    Yields:
        Names with what is to be said.
    """
    model, dataset = unwrapped(runner.model), runner.train_dataloader.dataset
    yield 'run', _course(runner)
    if hasattr(dataset, 'source') and hasattr(dataset, 'target'):
        yield 'source', f'{_images(dataset.source)}, with labels'
        yield 'target', f'{_images(dataset.target)}, without labels'
    else:
        yield 'images', _images(dataset)
    yield 'validation', _validation(runner)
    yield 'classes', _classes(dataset)
    yield 'network', _network(model)
    yield 'method', ', '.join(_parts(model))
    yield 'device', _device(model)
    yield 'output', _output(runner)


def _course(runner: Runner) -> str:
    done, batch = int(runner.iter), runner.train_dataloader.batch_size
    name = Path(str(runner.cfg.filename or runner.experiment_name)).stem
    resumed = f', of which {done} are done' if done else ''
    several = f' on each of {get_world_size()} processes' if get_world_size() > 1 else ''
    weights = f', from {runner._load_from}' if runner._load_from and not done else ''
    seed = f', seed {runner.seed}' if runner.seed is not None else ''
    return f'{name}: {runner.max_iters} iterations{resumed}, batch size {batch}{several}{seed}{weights}'


def _images(dataset: Any) -> str:
    """Number of images and the folder that they lie in."""
    ends = [dataset.get_data_info(index).get('img_path', '') for index in (0, len(dataset) - 1)]
    folders = [shown_path(os.path.dirname(str(path))) for path in ends]
    folder = folders[0] if folders[0] == folders[1] else f'{folders[0]} .. {folders[1]}'
    return f'{len(dataset)} images in {folder or "."}'


def _validation(runner: Runner) -> str:
    if runner.val_loop is None:
        return 'none: no labelled target images are named'
    return f'every {runner.val_interval} iterations on {_images(runner.val_loop.dataloader.dataset)}'


def _classes(dataset: Any) -> str:
    names = [str(name) for name in dataset.metainfo['classes']]
    sampler = getattr(dataset, 'rare_classes', None)
    if sampler is None:
        return f'{len(names)}: {", ".join(names)}'
    pixels = sampler.counts.sum(axis=0)
    shares = ', '.join(f'{name} {share:.1%}' for name, share in zip(names, pixels / pixels.sum(), strict=True))
    return f'{len(names)}: {shares} of the labelled source pixels; rare ones are drawn more often'


def _network(model: nn.Module) -> str:
    network = model.student if isinstance(model, MeanTeacherSegmentor) else model
    parts = [getattr(network, name, None) for name in ('backbone', 'decode_head')]
    named = ', '.join(type(part[-1] if isinstance(part, nn.ModuleList) else part).__name__ for part in parts if part)
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    mean = getattr(getattr(model, 'data_preprocessor', None), 'mean', None)
    channels = '' if mean is None or mean.numel() < 2 else f', {mean.numel()} channels'
    return f'{type(network).__name__} ({named}), {millions:.1f} million parameters{channels}'


def _parts(model: nn.Module) -> Iterator[str]:
    """What of the method is on."""
    if not isinstance(model, MeanTeacherSegmentor):
        yield 'supervised'
        return
    adapts = model.class_mix is not None or model.masked_consistency is not None
    if not adapts:
        yield 'source-only'
    if model.class_mix is not None:
        yield 'class mixing (DACS)'
    if model.masked_consistency is not None:
        yield 'masked consistency (MIC)'
    if isinstance(model, DLCSegmentor) and model.transition is not None:
        losses = [name for name in ('volume', 'convexity') if getattr(model, f'{name}_loss') is not None]
        yield f'losses corrected with T{" (" + ", ".join(losses) + ")" if losses else ""}'
    if adapts:
        yield f'pseudo-labels sure from {model.pseudo_label_threshold:g}'
    yield f'the {model.predict_with} predicts'


def _device(model: nn.Module) -> str:
    device = next(model.parameters()).device
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else str(device).upper()
    threads = f', {torch.get_num_threads()} threads' if device.type == 'cpu' else ''
    return f'{get_world_size()} x {name}{threads}, torch {torch.__version__}'


def _output(runner: Runner) -> str:
    checkpoints = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
    every = ''.join(f', a checkpoint every {hook.interval} iterations' for hook in checkpoints[:1] if hook.interval > 0)
    logs = os.path.basename(runner.log_dir)
    return f'{runner.work_dir}{every}; log with the whole config, figures and pictures in {logs}'
