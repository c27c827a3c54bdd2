"""Sliding inference beside MMSegmentation's: processor seconds and peak memory by size of the image.

A small segmentor of six classes, windows of 128 px every 64 px, one thread. Logits must be equal
bit by bit.

Example:
    OMP_NUM_THREADS=1 python benchmarks/sliding_inference.py
    OMP_NUM_THREADS=1 python benchmarks/sliding_inference.py --sizes 4096
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from measuring import Ratio, alone, fastest, peak_above, status, table_of
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from provenance import ROOT
from torch import Tensor

import dlc_mmseg  # noqa: F401

WAYS = ('ours', 'MMSegmentation')


def network_of() -> Any:
    """The demo's student, which slides linearly."""
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Config.fromfile(ROOT / 'configs/dlc_demo.py').model
    config.segmentor.test_cfg = {'mode': 'slide', 'crop_size': (128, 128), 'stride': (64, 64)}
    return MODELS.build(config).student.eval()


@torch.no_grad()
def slide(network: Any, way: str, image: Tensor) -> Tensor:
    """Logits of an image in one of the ways."""
    metas = [{'img_shape': image.shape[2:], 'ori_shape': image.shape[2:]}]
    logits: Tensor = (
        network.slide_inference(image, metas)
        if way == 'ours'
        else EncoderDecoder.slide_inference(network, image, metas)
    )
    return logits


def peak_of(way: str, size: int) -> float:
    """MiB above network and image."""
    network, image = network_of(), torch.randn(1, 3, size, size)
    slide(network, way, image[..., :128, :192])
    return peak_above(status('VmRSS'), lambda: slide(network, way, image))


def ratios(sizes: Sequence[int] = (1024, 2048)) -> list[Ratio]:
    """Time and memory by side of the image in pixels."""
    network, found = network_of(), []
    for size in sizes:
        image = torch.randn(1, 3, size, size)
        if size <= 1024 and not torch.equal(*(slide(network, way, image) for way in WAYS)):
            raise AssertionError(f'logits differ at {size} px')
        spent = fastest({way: partial(slide, network, way, image) for way in WAYS}, 1)
        peaks = [alone(peak_of, way, size) for way in WAYS]
        found.append(Ratio(f'sliding over {size} px', spent['ours'], 'MMSegmentation', spent['MMSegmentation'], 's'))
        found.append(Ratio(f'sliding over {size} px, memory', peaks[0], 'MMSegmentation', peaks[1], 'MiB'))
    return found


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='+', default=[1024, 2048], help='sides in pixels')
    print(table_of(ratios(parser.parse_args().sizes)))
