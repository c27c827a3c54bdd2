"""Which bytes a training step holds, part after part, beside a supervised step.

What PyTorch allocates for tensors in the third step, above the step's start; weights and the optimizer's moments, which
stay, are listed apart. Unlike the peaks of `training_step.py`, which the kernel tells of the process, these hold no
libraries and no gaps between tensors.

Example:
    OMP_NUM_THREADS=1 python benchmarks/step_memory.py --networks hrda demo
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from measuring import alone
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from provenance import table
from torch.profiler import ProfilerActivity, profile, record_function
from training_step import NETWORKS, config_of, dlc_step, supervised_step

import dlc_mmseg.models.segmentors.dlc as dlc

_MARK, _MIB = 'part: ', 2**20


class Part(NamedTuple):
    """One call of a part: MiB above the step's start when it begins, and at most while it runs."""

    name: str
    before: float
    peak: float


def marked(owner: Any, name: str, part: str) -> None:
    """Let the profiler know when a function of a module or object runs.

    Args:
        owner: Whose attribute is replaced.
        name: The attribute, a function.
        part: What the profiler is told.
    """
    function: Callable[..., Any] = getattr(owner, name)

    def recorded(*arguments: Any, **settings: Any) -> Any:
        with record_function(_MARK + part):
            return function(*arguments, **settings)

    setattr(owner, name, recorded)


def parts_of(step: Callable[[], None]) -> list[Part]:
    """Parts of a step in the order in which they begin, and the whole step last."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    events = record.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == '[memory]')
    spans = sorted((e.start_ns(), e.end_ns(), e.name()[len(_MARK) :]) for e in events if e.name().startswith(_MARK))
    found = [Part(name, *_heights(changes, start, end)) for start, end, name in spans]
    return [*found, Part('the whole step', *_heights(changes, 0, changes[-1][0]))]


def _heights(changes: Iterable[tuple[int, int]], start: int, end: int) -> tuple[float, float]:
    held, before, peak = 0, 0, 0
    for moment, change in changes:
        if moment > end:
            break
        held += change
        if moment < start:
            before = peak = held
        peak = max(peak, held) if moment >= start else held
    return before / _MIB, peak / _MIB


def profiled(kind: str, name: str) -> tuple[list[Part], dict[str, float]]:
    """Parts of the third step of a kind, and MiB of what stays between steps; its marks stay, so call it alone."""
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    case = NETWORKS[name]
    model: Any = MODELS.build(config_of(case, 'auto')).train()
    weights = _mib(model.student.state_dict().values())
    stays = {"student's weights": weights, "optimizer's moments": 2 * _mib(model.student.parameters())}
    if kind == 'supervised':
        step = supervised_step(model.student, case)
    else:
        stays["teacher's weights"] = weights
        step = dlc_step(model, case)
        marked(model.student, 'loss', 'student: forward, source')
        marked(model.teacher, 'encode_decode', 'teacher: forward')
        marked(dlc, 'training_logits', 'student: forward, target')
        marked(model, 'head_loss', 'target loss')
        marked(model, 'update_transition', 'update of T')
    for _ in range(2):
        step()
    return parts_of(step), stays


def _mib(tensors: Iterable[torch.Tensor]) -> float:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors) / _MIB


def main() -> None:
    """Profile and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=['demo'])
    args = parser.parse_args()
    for name in args.networks:
        for kind in ('supervised', 'DLC'):
            parts, stays = alone(profiled, kind, name)
            rows = [[what, f'{size:.1f}', ''] for what, size in stays.items()]
            rows += [[part.name, f'{part.before:.1f}', f'{part.peak:.1f}'] for part in parts]
            print(f'{name}, {kind}\n\n{table(["part", "MiB before", "MiB at most"], rows)}\n', flush=True)


if __name__ == '__main__':
    main()
