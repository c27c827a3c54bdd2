"""Where the time of a training step goes, part by part, without the time of the parts within.

Processor seconds of one thread, mean over some steps; clocks around the parts cost a few microseconds each. The parts
that the floor of `training_step.py` has too are marked as network passes.

Example:
    OMP_NUM_THREADS=1 python benchmarks/step_profile.py --networks demo --steps 30
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from measuring import alone
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from provenance import ROOT, table
from step_cost import half
from training_step import NETWORKS, config_of

import dlc_mmseg.models.segmentors.branchwise as branchwise
import dlc_mmseg.models.segmentors.dlc as dlc
import dlc_mmseg.models.segmentors.mean_teacher as mean_teacher

PASSES = ('student: forward', 'student: backward', 'teacher: forward', 'optimizer')
REST = 'the rest'


class Clock:
    """Processor seconds by part; a part within another counts for itself alone."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._running = [REST]
        self._since = time.process_time()

    def around(self, owner: Any, name: str, part: str) -> None:
        """Charge every call of an attribute of a module or object to a part.

        Args:
            owner: Whose attribute is replaced.
            name: The attribute, a function.
            part: The part.
        """
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*arguments: Any, **settings: Any) -> Any:
            self._switch()
            self._running.append(part)
            try:
                return function(*arguments, **settings)
            finally:
                self._switch()
                self._running.pop()

        setattr(owner, name, timed)

    def _switch(self) -> None:
        now = time.process_time()
        self.spent[self._running[-1]] += now - self._since
        self._since = now

    def start(self) -> None:
        """Forget what was spent so far."""
        self.spent.clear()
        self._since = time.process_time()

    def stop(self) -> dict[str, float]:
        """Seconds of each part since the start."""
        self._switch()
        return dict(self.spent)


def profile(name: str, steps: int) -> dict[str, float]:
    """Seconds of a step by part, averaged over steps; its clocks stay, so call it alone.

    Args:
        name: Key of `NETWORKS`.
        steps: Steps that count, after three that warm up.
    """
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    case, clock = NETWORKS[name], Clock()
    torch.manual_seed(0)
    model: Any = MODELS.build(config_of(case, 'auto')).train()
    wrapper = build_optim_wrapper(model, Config.fromfile(ROOT / 'configs/dlc_demo.py').optim_wrapper)
    data = {domain: half(case.batch_size, case.size, case.num_classes) for domain in ('source', 'target')}
    for owner, attribute, part in (
        (model.student, 'loss', 'student: forward'),
        (dlc, 'training_logits', 'student: forward'),
        (wrapper, 'backward', 'student: backward'),
        (model.teacher, 'encode_decode', 'teacher: forward'),
        (wrapper, 'step', 'optimizer'),
        (wrapper, 'zero_grad', 'optimizer'),
        (model.data_preprocessor, 'forward', 'normalisation of images'),
        (model, 'follow_student', 'average of the teacher'),
        (branchwise, 'clone_buffers', 'copies of running statistics, in case'),
        (model.teacher_statistics, 'see_source', 'statistics of the teacher'),
        (model.teacher_statistics, 'pixel_weights', 'statistics of the teacher'),
        (model.teacher_statistics, 'labelling', 'statistics of the teacher'),
        (mean_teacher, 'pseudo_labels', 'pseudo-labels'),
        (model.class_mix, 'forward', 'mixing and masking'),
        (model.masked_consistency, 'forward', 'mixing and masking'),
        (model.strong_augmentation, 'forward', 'strong augmentation'),
        (model, 'head_loss', 'target loss'),
        (model, 'update_transition', 'update of T'),
        (model, '_agree', 'whether all is finite'),
    ):
        clock.around(owner, attribute, part)
    for step in range(3 + steps):
        if step == 3:
            clock.start()
        model.train_step(data, wrapper)
    return {part: spent / steps for part, spent in clock.stop().items()}


def rows_of(spent: dict[str, float]) -> list[list[str]]:
    """Lines of a table: network passes first, the others by cost."""
    total = sum(spent.values())
    parts = sorted(spent, key=lambda part: (part not in PASSES, part == REST, -spent[part]))
    rows = [[part, f'{1e3 * spent[part]:.1f}', f'{100 * spent[part] / total:.1f}'] for part in parts]
    passes = sum(spent.get(part, 0.0) for part in PASSES)
    rows.append(['network passes together', f'{1e3 * passes:.1f}', f'{100 * passes / total:.1f}'])
    return [*rows, ['step', f'{1e3 * total:.1f}', '100.0']]


def main() -> None:
    """Profile and print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--networks', nargs='+', choices=NETWORKS, default=['demo'])
    parser.add_argument('--steps', type=int, default=30)
    args = parser.parse_args()
    for name in args.networks:
        print(f'{name}\n\n{table(["part", "ms", "%"], rows_of(alone(profile, name, args.steps)))}\n', flush=True)


if __name__ == '__main__':
    main()
