"""Models that are misspelt or contradict the data."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from tiny_run import ITERATIONS

from faults.injecting import DATA, fault, field_fault

field_fault(
    'mean that is no number', 'model.data_preprocessor.mean', [float('nan')] * 3, 'not all numbers', "'auto' for both"
)
field_fault(
    'misspelt argument of a part',
    'model.pseudo_label_treshold',
    0.9,
    'no argument of DLCSegmentor',
    'pseudo_label_threshold may be meant',
)
field_fault(
    'misspelt argument of a nested part',
    'model.transition.warmup_iteration',
    9,
    'no argument of NoiseTransitionMatrix',
    'warmup_iterations may be meant',
)
field_fault(
    'argument of another estimator, as a dict inherits it',
    'model.transition.estimator',
    {'type': 'ConfusionEstimator', 'num_points': 9},
    'no argument of ConfusionEstimator',
    '_delete_=True drops what a dict inherits',
    where='model.transition.estimator.num_points',
)
field_fault(
    'misspelt estimator',
    'model.transition.estimator',
    'ConfusionEstimater',
    'does not build',
    "give 'ConfusionEstimator' or 'ConsensusEstimator'",
    where='model',
)
field_fault(
    'misspelt argument of the data',
    f'{DATA}.rare_class_samplng',
    None,
    'no argument of PairedDomainDataset',
    'rare_class_sampling may be meant',
)
field_fault(
    'misspelt argument of a hook',
    'custom_hooks',
    [{'type': 'PseudoLabelHook', 'intervall': 5}],
    'no argument of PseudoLabelHook',
    'interval may be meant',
    where='custom_hooks.0.intervall',
)
field_fault(
    'misspelt type of a part',
    'model.volume_loss.type',
    'TransitionVolumeLos',
    'is not registered',
    'TransitionVolumeLoss may be meant',
)
field_fault('value out of range', 'model.teacher_momentum', 2.0, 'does not build', 'teacher_momentum', where='model')
field_fault('std of wrong length', 'model.data_preprocessor.std', [60.0], 'has 1 values, mean has 3', 'per channel')
field_fault('std of zero', 'model.data_preprocessor.std', [60.0, 0.0, 60.0], 'not all positive', 'positive values')
field_fault(
    'preprocessor for one domain',
    'model.data_preprocessor.type',
    'SegDataPreProcessor',
    'takes no pairs',
    "'PairedDomainDataPreprocessor'",
)
field_fault(
    'volume loss without a matrix',
    'model.transition',
    None,
    'is given without model.transition',
    'volume_loss=None',
    where='model.volume_loss',
    alone=False,
)
field_fault(
    'convexity loss without a matrix',
    'model.transition',
    None,
    'is given without model.transition',
    'convexity_loss=None',
    where='model.convexity_loss',
    alone=False,
)
field_fault(
    'matrix that learns for another time',
    'model.transition.total_iterations',
    40000,
    f'is 40000, train_cfg.max_iters is {ITERATIONS}',
    f'set it to {ITERATIONS}',
    severity='warning',
)
field_fault('matrix that never learns', 'model.transition.warmup_iterations', 10, 'never be learnt', 'lower it')


@fault('one dataset for a model of pairs', DATA, 'gives no pairs, DLCSegmentor takes them', 'PairedDomainDataset')
def _(root: Path, config: Config) -> None:
    config.train_dataloader.dataset = config.train_dataloader.dataset.source


def _by_layer(kind: object, **settings: object) -> dict[str, object]:
    optimizer = {'type': 'AdamW', 'lr': 1e-3}
    return {'_delete_': True, 'optimizer': optimizer, 'constructor': kind, 'paramwise_cfg': dict(settings)}


for _constructor in ('LearningRateDecayOptimizerConstructor', 'LayerDecayOptimizerConstructor'):
    field_fault(
        f'layers of the backbone of a plain segmentor, {_constructor}',
        'optim_wrapper',
        _by_layer(_constructor, num_layers=2, decay_rate=0.5),
        f'{_constructor} looks for the backbone',
        "'StudentOptimWrapperConstructor'",
        f'paramwise_cfg.constructor to {_constructor!r}',
        where='optim_wrapper.constructor',
    )
field_fault(
    'layers of a backbone that has none',
    'optim_wrapper',
    _by_layer(
        'StudentOptimWrapperConstructor', constructor='LearningRateDecayOptimizerConstructor', num_layers=2,
        decay_rate=0.5,
    ),
    'does not build (NotImplementedError',
    where='optim_wrapper',
)  # fmt: skip
field_fault('misspelt optimizer', 'optim_wrapper.optimizer.type', 'AdamV', "'AdamV' is not registered", 'may be meant')
field_fault('unknown argument of the optimizer', 'optim_wrapper.optimizer.lrr', 1.0, "'lrr", where='optim_wrapper')
field_fault('unknown constructor', 'optim_wrapper.constructor', 'Nobody', "'Nobody' is not registered")
field_fault(
    'another head for get_flops',
    'model.decode_head.type',
    'ASPPHead',
    'ASPPHead is not that of the segmentor (FCNHead)',
    'model.decode_head=None',
    severity='warning',
)
