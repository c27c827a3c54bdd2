"""What a training step costs beside the network passes that no one can avoid, and beside a supervised step.

The floor is those passes alone: both forward passes of the teacher (class-matched statistics look at the batch before
they label it), forward and backward of source, mixed and masked images with a plain cross-entropy, and one step of the
optimizer. Steps of all kinds take turns in one process, in processor
seconds of one thread; the fastest of some rounds counts. Peak memory is what a process of its own reaches above its
size before the model is built. ``--memory_format`` compares formats of the features that heads receive.

Example:
    OMP_NUM_THREADS=1 python benchmarks/training_step.py
    OMP_NUM_THREADS=1 python benchmarks/training_step.py --networks daformer --memory_format keep contiguous
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measuring import Ratio, alone, fastest, peak_above, seconds, status
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from provenance import ROOT, table
from step_cost import half

import dlc_mmseg  # noqa: F401
from dlc_mmseg.models.segmentors.class_matched_statistics import ClassMatchedStatistics

_BN = {'type': 'BN', 'requires_grad': True}
_WIDTHS = [32, 64, 160, 256]
_LOSS = {'type': 'CrossEntropyLoss', 'loss_weight': 1.0}
_HEAD = {'in_channels': _WIDTHS, 'channels': 256, 'num_classes': 6, 'norm_cfg': _BN, 'loss_decode': _LOSS}
_DAFORMER = {'type': 'DAFormerHead', **_HEAD}
_MIT = {'embed_dims': 32, 'num_layers': [2, 2, 2, 2], 'num_heads': [1, 2, 5, 8], 'drop_path_rate': 0.1}
_OURS, _MMSEG = ({'type': name, **_MIT} for name in ('LegacyMixVisionTransformer', 'MixVisionTransformer'))
_WHOLE = {'mode': 'whole'}


class Case(NamedTuple):
    """A segmentor (None: the demo's own), batch size and side of the images in pixels."""

    segmentor: dict[str, Any] | None
    batch_size: int
    size: int
    num_classes: int = 6


_WITH_DAFORMER = {'type': 'EncoderDecoder', 'backbone': _OURS, 'decode_head': _DAFORMER}
_150 = {**_WITH_DAFORMER, 'decode_head': {**_DAFORMER, 'num_classes': 150}}
NETWORKS = {
    'demo': Case(None, 4, 128),
    'daformer': Case(_WITH_DAFORMER, 2, 128),
    'daformer150': Case(_150, 2, 128, 150),
    'hrda': Case(
        {
            'type': 'HRDAEncoderDecoder',
            'crop_size': (128, 128),
            'backbone': _OURS,
            'decode_head': {
                'type': 'HRDAHead',
                'head': _DAFORMER,
                'scale_attention': {**_DAFORMER, 'fusion': 'conv'},
            },
        },
        2,
        256,
    ),
    'segformer': Case(
        {
            'type': 'EncoderDecoder',
            'backbone': _MMSEG,
            'decode_head': {'type': 'SegformerHead', 'in_index': [0, 1, 2, 3], **_HEAD},
        },
        2,
        128,
    ),
}


def config_of(case: Case, memory_format: str) -> dict[str, Any]:
    """The demo's DLC around the network of a case, past its warm-up."""
    model: dict[str, Any] = Config.fromfile(ROOT / 'configs/dlc_demo.py').model.to_dict()
    if case.segmentor is not None:
        model['segmentor'] = {**case.segmentor, 'test_cfg': _WHOLE}
    return {**model, 'memory_format': memory_format, 'warmup_iterations': None}


def dlc_step(model: Any, case: Case, spent: list[float] | None = None) -> Callable[[], None]:
    """A step of the whole method; ``spent`` receives the seconds of each update of T."""
    if spent is not None:
        update = model.update_transition

        def timed(*arguments: Any) -> Any:
            result = []
            spent.append(seconds(lambda: result.append(update(*arguments))))
            return result[0]

        model.update_transition = timed
    wrapper = build_optim_wrapper(model, Config.fromfile(ROOT / 'configs/dlc_demo.py').optim_wrapper)
    data = {name: half(case.batch_size, case.size, case.num_classes) for name in ('source', 'target')}
    return lambda: model.train_step(data, wrapper)


def _segmentor_steps(network: Any, case: Case) -> tuple[Any, Any, Any]:
    wrapper = build_optim_wrapper(
        network, {'type': 'OptimWrapper', 'optimizer': {'type': 'AdamW', 'lr': 1e-4, 'weight_decay': 0.01}}
    )
    batch = half(case.batch_size, case.size, case.num_classes)
    images = torch.stack(batch['inputs']).float() / 128 - 1
    return wrapper, images, batch['data_samples']


def supervised_step(network: Any, case: Case) -> Callable[[], None]:
    """A step of the plain segmentor on one batch."""
    wrapper, images, samples = _segmentor_steps(network, case)

    def step() -> None:
        wrapper.update_params(network.parse_losses(network.loss(images, samples))[0])

    return step


def floor_step(network: Any, teacher: Any, looks: int, case: Case) -> Callable[[], None]:
    """The network passes of an adaptation step, and nothing else; the teacher looks at its batch once or more."""
    wrapper, images, samples = _segmentor_steps(network, case)
    metas = [{'img_shape': images.shape[2:], 'pad_shape': images.shape[2:]} for _ in samples]

    def step() -> None:
        with torch.no_grad():
            for _ in range(looks):
                teacher.encode_decode(images, metas)
        for _ in ('source', 'mixed', 'masked'):
            network.parse_losses(network.loss(images, samples))[0].backward()
        wrapper.step()
        wrapper.zero_grad()

    return step


def steps(case: Case, memory_format: str, spent: list[float]) -> dict[str, Callable[[], None]]:
    """Steps of all kinds, each with networks of its own, all with the same hooks."""
    found = {}
    for kind in ('supervised', 'floor', 'DLC'):
        torch.manual_seed(0)
        model = MODELS.build(config_of(case, memory_format)).train()
        if kind == 'DLC':
            found[kind] = dlc_step(model, case, spent)
        elif kind == 'floor':
            looks = 1 + isinstance(model.teacher_statistics, ClassMatchedStatistics)
            found[kind] = floor_step(model.student, model.teacher, looks, case)
        else:
            found[kind] = supervised_step(model.student, case)
    return found


def peak_of(kind: str, name: str, memory_format: str) -> float:
    """MiB of the second step of a kind and its model, in a process of its own."""
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    case, base = NETWORKS[name], status('VmRSS')
    torch.manual_seed(0)
    model = MODELS.build(config_of(case, memory_format)).train()
    if kind == 'supervised':
        student = model.student
        del model
    step = dlc_step(model, case) if kind == 'DLC' else supervised_step(student, case)
    step()
    return peak_above(base, step)


def measure(name: str, memory_format: str, rounds: int) -> dict[str, float]:
    """Seconds of each step and peaks in MiB."""
    spent: list[float] = []
    parts = steps(NETWORKS[name], memory_format, spent)
    for part in parts.values():
        part()
    found = fastest(parts, rounds, least=1.0)
    found['T'] = min(spent)
    if Path('/proc/self/clear_refs').exists():
        found |= {f'{kind}, MiB': alone(peak_of, kind, name, memory_format) for kind in ('supervised', 'DLC')}
    return found


HEADER = ['network', 'format', 'floor, s', 'DLC, s', 'DLC / floor', 'DLC / supervised', 'update of T / DLC']
HEADER += ['peak DLC / supervised']


def row(name: str, memory_format: str, found: dict[str, float]) -> list[str]:
    """A line of the table."""
    memory = found['DLC, MiB'] / found['supervised, MiB'] if 'DLC, MiB' in found else float('nan')
    shares = [found['DLC'] / found['floor'], found['DLC'] / found['supervised'], found['T'] / found['DLC'], memory]
    return [name, memory_format, f'{found["floor"]:.3g}', f'{found["DLC"]:.3g}', *(f'{share:.3f}' for share in shares)]


def ratios() -> list[Ratio]:
    """Steps beside their floor, updates of T beside steps, and peak memory beside a supervised step."""
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    lines = []
    for name in NETWORKS:
        found = measure(name, 'auto', 3)
        lines.append(Ratio(f'DLC step, {name}', found['DLC'], 'network passes alone', found['floor'], 's'))
        lines.append(Ratio(f'DLC step, {name}', found['DLC'], 'supervised step', found['supervised'], 's'))
        lines.append(Ratio(f'update of T, {name}', found['T'], 'DLC step', found['DLC'], 's'))
        if 'DLC, MiB' in found:
            memory = found['DLC, MiB'], found['supervised, MiB']
            lines.append(Ratio(f'DLC step, {name}, memory', memory[0], 'supervised step', memory[1], 'MiB'))
    return lines


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument('--memory_format', nargs='+', default=['auto'])
    parser.add_argument('--rounds', type=int, default=5)
    args = parser.parse_args()
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    rows = []
    for name in args.networks:
        for memory_format in args.memory_format:
            rows.append(row(name, memory_format, measure(name, memory_format, args.rounds)))
            print(' | '.join(rows[-1]), flush=True)
    print('\n' + table(HEADER, rows))


if __name__ == '__main__':
    main()
