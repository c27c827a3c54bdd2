"""Training runs of milliseconds per step, and processes to run them in."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import toy
from mmengine.runner import Runner
from tiny_domains import dataset_config, write_domain

ITERATIONS = 8


def write_domains(root: Path) -> Path:
    """Source, target and validation tiles."""
    write_domain(root / 'source', [{1: 60, 2: 40}, {1: 100, 2: 30}, {1: 30, 2: 20}])
    write_domain(root / 'target', 4)
    write_domain(root / 'validation', [{1: 70, 2: 50}, {2: 90, 1: 30}])
    return root


def model() -> dict[str, Any]:
    """The full method, with dropout."""
    segmentor = toy.segmentor()
    segmentor.decode_head.dropout_ratio = 0.3
    transition = {'type': 'NoiseTransitionMatrix', 'total_iterations': ITERATIONS}
    return toy.dlc(segmentor=segmentor, transition=transition, train_transition_through_loss=True)


def runner_of(
    folder: Path,
    work_dir: Path,
    *,
    iterations: int = ITERATIONS,
    workers: int = 0,
    resume: bool = False,
    seed: int | None = 11,
    val_interval: int = 4,
    hooks: Sequence[dict[str, Any]] = (),
    **changes: Any,
) -> Runner:
    """A run on what `write_domains` wrote: checkpoints every two iterations, and after a better validation."""
    validation = {
        'batch_size': 1,
        'num_workers': 0,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'dataset': dataset_config(folder / 'validation', test_mode=True),
    }
    return Runner(
        model=model(),
        work_dir=str(work_dir),
        train_dataloader={
            'batch_size': 2,
            'num_workers': workers,
            'persistent_workers': workers > 0,
            'sampler': {'type': 'PairedDomainSampler'},
            'dataset': {
                'type': 'PairedDomainDataset',
                'source': dataset_config(folder / 'source', augment=True),
                'target': dataset_config(folder / 'target', labelled=False, augment=True),
                'rare_class_sampling': {'temperature': 0.1, 'min_pixels': 5, 'min_crop_ratio': 1.0},
            },
        },
        val_dataloader=validation,
        val_evaluator={'type': 'IoUMetric', 'iou_metrics': ['mIoU']},
        val_cfg={'type': 'ValLoop'},
        train_cfg={'by_epoch': False, 'max_iters': iterations, 'val_interval': val_interval},
        optim_wrapper={
            'optimizer': {'type': 'AdamW', 'lr': 0.01},
            'clip_grad': {'max_norm': 1.0},
            'paramwise_cfg': {'custom_keys': {'decode_head': {'lr_mult': 10.0}}},
        },
        param_scheduler=[
            {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'begin': 0, 'end': 3},
            {'type': 'PolyLR', 'power': 1.0, 'by_epoch': False, 'begin': 3, 'end': ITERATIONS},
        ],
        default_hooks={
            'logger': {'type': 'LoggerHook', 'interval': 1, 'log_metric_by_epoch': False},
            'checkpoint': {
                'type': 'CheckpointHook', 'by_epoch': False, 'interval': 2, 'max_keep_ckpts': 1, 'save_best': 'mIoU',
            },
            'exact_resume': {'type': 'ExactResumeHook'},
        },
        custom_hooks=list(hooks),
        log_processor={'by_epoch': False},
        visualizer={'type': 'SegLocalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}], 'name': work_dir.name},
        randomness={'seed': seed},
        default_scope='mmseg',
        experiment_name=f'{work_dir.name}_{resume}_{os.getpid()}',
        resume=resume,
        log_level='ERROR',
        **changes,
    )  # fmt: skip


def forked(*functions: Callable[[], Any]) -> list[int]:
    """Run functions side by side, each in a process of its own; returns their exit codes."""

    def alone(function: Callable[[], Any]) -> None:
        torch.set_num_threads(1)
        np.random.seed()  # a fork would draw the seeds of its siblings, which processes of their own do not
        function()

    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=alone, args=(function,)) for function in functions]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        if process.exitcode is None:
            process.kill()
            process.join()
    return [process.exitcode or 0 for process in processes]


def in_group(function: Callable[[int], Any], folder: Path, size: int = 2) -> list[Any]:
    """Run a function of the rank in a group of processes (gloo); returns what each returns."""

    def member(rank: int) -> None:
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(size), LOCAL_RANK=str(rank))
        torch.distributed.init_process_group('gloo', f'file://{folder}/rendezvous', timedelta(seconds=240), size, rank)
        torch.save(function(rank), folder / f'result_{rank}.pt')
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()

    folder.mkdir(parents=True, exist_ok=True)
    codes = forked(*(lambda rank=rank: member(rank) for rank in range(size)))
    assert codes == [0] * size
    return [torch.load(folder / f'result_{rank}.pt', weights_only=False) for rank in range(size)]


def differing(ours: Any, theirs: Any, name: str = '') -> list[str]:
    """Paths at which two nested containers of tensors and numbers differ in any bit."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        return [path for key in ours for path in differing(ours[key], theirs[key], f'{name}.{key}')]
    if isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs)
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [path for number, pair in pairs for path in differing(*pair, f'{name}.{number}')]
    same = torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
    return [] if same else [name]
