"""Seconds and peak memory of a training step of a config, beside one supervised step of the same network.

Of a DLC step it also says which share the update of T takes. On a CPU, processor seconds of all threads are counted;
a config's warm-up is left out.

Example:
    python benchmarks/step_cost.py configs/dlc_potirrg2vai.py --batch_size 1
    python benchmarks/step_cost.py configs/dlc_potirrg2vai.py --batch_size 8 --device cuda --amp
    python benchmarks/step_cost.py configs/dlc_demo.py --batch_size 4 --size 128 --steps 20
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import dlc_mmseg  # noqa: F401

VARIANTS = {
    'supervised': None,  # the plain segmentor
    'baseline': {
        'transition': None,
        'volume_loss': None,
        'convexity_loss': None,
        'target_loss': {'type': 'ForwardCorrectedCrossEntropyLoss'},
    },
    'dlc': {},
}


def half(batch_size: int, size: int, num_classes: int) -> dict[str, Any]:
    """Random images with blocky labels."""
    labels = torch.randint(0, num_classes, (batch_size, 1, size // 32, size // 32))
    labels = labels.repeat_interleave(32, 2).repeat_interleave(32, 3)
    images = torch.randint(0, 256, (batch_size, 3, size, size), dtype=torch.uint8)
    meta = {'img_shape': (size, size)}
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=meta) for label in labels]
    return {'inputs': list(images), 'data_samples': samples}


def measure(variant: str, args: argparse.Namespace, results: Any) -> None:
    """Time some steps of one variant, in a process of its own so that its peak memory is its own."""
    init_default_scope('mmseg')
    torch.manual_seed(0)
    config = Config.fromfile(args.config)
    config.model.segmentor.backbone.init_cfg = None
    wrapper, changes = dict(config.optim_wrapper), VARIANTS[variant]
    if changes is None:
        network = {**config.model.segmentor, 'data_preprocessor': config.model.data_preprocessor}
        wrapper.pop('constructor')  # of wrapped students
    else:
        network = {**config.model.to_dict(), 'warmup_iterations': None, **changes}
    model = MODELS.build(network).to(args.device).train()
    if args.amp:
        wrapper['type'] = 'AmpOptimWrapper'
    optim_wrapper = build_optim_wrapper(model, wrapper)
    cuda = args.device.startswith('cuda')
    spent: list[float] = []
    if getattr(model, 'transition', None) is not None:
        model.update_transition = timed(model.update_transition, spent, cuda)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(args.steps + 1):
        halves = {name: half(args.batch_size, args.size, model.num_classes) for name in ('source', 'target')}
        data = halves['source'] if changes is None else halves
        start = _clock(cuda)
        model.train_step(data, optim_wrapper)
        seconds.append(_clock(cuda) - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if cuda:
        peak = torch.cuda.max_memory_allocated() / 2**30
    share = statistics.median(part / step for part, step in zip(spent[1:], seconds[1:], strict=True)) if spent else 0.0
    results.put((min(seconds[1:]), peak, base / 2**20, share))


def timed(function: Callable[..., Any], spent: list[float], cuda: bool) -> Callable[..., Any]:
    """A function that notes how long each call takes.

    Args:
        function: What is timed.
        spent: Seconds of each call are appended here.
        cuda: Whether to wait for the device before and after.
    """

    def call(*arguments: Any) -> Any:
        start = _clock(cuda)
        result = function(*arguments)
        spent.append(_clock(cuda) - start)
        return result

    return call


def _clock(cuda: bool) -> float:
    """Seconds: of the clock once the device has finished, or of the processor."""
    if not cuda:
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Measure all variants side by side and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--batch_size', type=int, default=1)
    parser.add_argument('--size', type=int, default=512, help='side of a tile in pixels')
    parser.add_argument('--steps', type=int, default=1, help='steps after one that warms up; the fastest counts')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--amp', action='store_true', help='mixed precision (GPU)')
    args = parser.parse_args()
    context = multiprocessing.get_context('spawn')
    results = context.Queue()
    reference = None
    for variant in VARIANTS:
        process = context.Process(target=measure, args=(variant, args, results))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f'{variant}: stopped with status {process.exitcode}')
        seconds, peak, base, share = results.get()
        reference = reference or (seconds, peak)
        print(
            f'{variant:>10}: {seconds:7.2f} s/iteration ({seconds / reference[0]:4.2f} x supervised), '
            f'peak {peak:5.2f} GiB '
            f'({peak / reference[1]:4.2f} x; {base:.2f} GiB before the first step)'
            + (f', update of T {100 * share:.1f} % of it' if share else ''),
            flush=True,
        )


if __name__ == '__main__':
    main()
