"""A complete training config on tiny tiles: a step takes milliseconds."""

from __future__ import annotations

from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import toy
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from tiny_domains import LABELS, LOAD, PACK, dataset_config, write_domain

ITERATIONS = 2
TRANSITION = {'type': 'NoiseTransitionMatrix'}
FLIPS = [{'type': 'RandomFlip', 'prob': 0.0}, {'type': 'RandomFlip', 'prob': 1.0}]
_runs = count()


def write_pair(root: Path) -> tuple[Path, Path]:
    """Source, target and validation tiles of 16 x 16 pixels; every class is there, nothing is wrong."""
    source = write_domain(root / 'source', [{1: 60, 2: 40}, {1: 100, 2: 30}, {1: 30, 2: 20}])
    target = write_domain(root / 'target', 4)
    validation = write_domain(root / 'validation', [{1: 70, 2: 50}, {2: 90, 1: 30}])
    for folder, first in ((target, 100), (validation, 200)):  # other noise than the source's
        for number, image in enumerate(sorted((folder / 'img').iterdir())):
            noise = np.random.default_rng(first + number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(image)
    return source, target


def run_config(root: Path, **changes: Any) -> Config:
    """Two iterations and a validation on what `write_pair` wrote to the same folder."""
    loader: dict[str, Any] = {'num_workers': 0, 'persistent_workers': False}
    validation = {
        **loader,
        'batch_size': 1,
        'sampler': {'type': 'DefaultSampler', 'shuffle': False},
        'dataset': dataset_config(root / 'validation', test_mode=True),
    }
    evaluator = {'type': 'IoUMetric', 'iou_metrics': ['mIoU'], 'prefix': None}
    config = {
        'custom_imports': {'imports': ['dlc_mmseg', 'dlc_mmseg.safe_files'], 'allow_failed_imports': False},
        'default_scope': 'mmseg',
        'work_dir': str(root / 'work'),
        'model': toy.dlc(transition={**TRANSITION, 'total_iterations': ITERATIONS}, decode_head={'type': 'FCNHead'}),
        'tta_model': {'type': 'SegTTAModel'},
        'tta_pipeline': [LOAD, {'type': 'TestTimeAug', 'transforms': [FLIPS, [LABELS], [PACK]]}],
        'train_dataloader': {
            **loader,
            'batch_size': 2,
            'sampler': {'type': 'PairedDomainSampler'},
            'dataset': {
                'type': 'PairedDomainDataset',
                'source': dataset_config(root / 'source'),
                'target': dataset_config(root / 'target', labelled=False),
                'rare_class_sampling': {'temperature': 0.5, 'min_pixels': 10, 'min_crop_ratio': 0.5},
            },
        },
        'val_dataloader': validation,
        'test_dataloader': deepcopy(validation),
        'val_evaluator': evaluator,
        'test_evaluator': dict(evaluator),
        'train_cfg': {'type': 'IterBasedTrainLoop', 'max_iters': ITERATIONS, 'val_interval': ITERATIONS},
        'val_cfg': {'type': 'ValLoop'},
        'test_cfg': {'type': 'TestLoop'},
        'optim_wrapper': {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 1e-3}},
        'param_scheduler': [{'type': 'PolyLR', 'begin': 0, 'end': ITERATIONS, 'by_epoch': False}],
        'default_hooks': {
            'logger': {'type': 'LoggerHook', 'interval': 1, 'log_metric_by_epoch': False},
            'checkpoint': {'type': 'CheckpointHook', 'by_epoch': False, 'interval': 1, 'max_keep_ckpts': 2},
        },
        'visualizer': {'type': 'SegLocalVisualizer', 'vis_backends': []},
        'log_processor': {'by_epoch': False},
        'log_level': 'ERROR',
        'randomness': {'seed': 0},
        'load_from': None,
        'resume': False,
        **changes,
    }
    return Config(config)


def runner_of(config: Config) -> Runner:
    """A runner of a copy of the config, under a name of its own."""
    content = deepcopy(config.to_dict())
    name = f'tiny {next(_runs)}'
    content.update(experiment_name=name, visualizer={**content['visualizer'], 'name': name})
    return Runner.from_cfg(Config(content))
