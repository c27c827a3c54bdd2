"""Sliding inference beside MMSegmentation's: processor seconds and peak memory by size of the image.

A small segmentor of six classes, windows of 128 px every 64 px, one thread. Logits must be equal
bit by bit. Above 1024 px MMSegmentation is stopped after some windows: what a window takes there, times the
windows, is its time; its peak is reached by then.

Example:
    OMP_NUM_THREADS=1 python benchmarks/sliding_inference.py
    OMP_NUM_THREADS=1 python benchmarks/sliding_inference.py --sizes 4096
"""

from __future__ import annotations

import argparse
import math
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
CROP, STRIDE = 128, 64
WHOLE = 1024
"""Largest side in pixels that MMSegmentation slides over in full here."""
SOME = (4, 44)
"""Windows between which the time of one is measured, where it is stopped."""


def network_of() -> Any:
    """The demo's student, which slides linearly."""
    init_default_scope('mmseg')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = Config.fromfile(ROOT / 'configs/dlc_demo.py').model
    config.segmentor.test_cfg = {'mode': 'slide', 'crop_size': (CROP, CROP), 'stride': (STRIDE, STRIDE)}
    return MODELS.build(config).student.eval()


class EnoughError(Exception):
    """As many windows as asked for have been predicted."""


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


def slide_some(network: Any, image: Tensor, windows: int) -> None:
    """MMSegmentation's way, stopped after some windows."""
    left, predict = [windows], network.encode_decode

    def counted(*arguments: Any) -> Any:
        if not left[0]:
            raise EnoughError
        left[0] -= 1
        return predict(*arguments)

    network.encode_decode = counted
    try:
        slide(network, WAYS[1], image)
    except EnoughError:
        pass
    finally:
        network.encode_decode = predict


def peak_of(way: str, size: int) -> float:
    """MiB above network and image."""
    network, image = network_of(), torch.randn(1, 3, size, size)
    slide(network, way, image[..., :CROP, : CROP + STRIDE])
    if way == 'ours' or size <= WHOLE:
        return peak_above(status('VmRSS'), lambda: slide(network, way, image))
    return peak_above(status('VmRSS'), lambda: slide_some(network, image, SOME[0]))


def extrapolated(network: Any, image: Tensor) -> float:
    """Seconds that MMSegmentation would take for a square image."""
    spent = fastest({str(windows): partial(slide_some, network, image, windows) for windows in SOME}, 2)
    window = (spent[str(SOME[1])] - spent[str(SOME[0])]) / (SOME[1] - SOME[0])
    windows = (math.ceil((image.shape[-1] - CROP) / STRIDE) + 1) ** 2
    return spent[str(SOME[0])] + window * (windows - SOME[0])


def ratios(sizes: Sequence[int] = (1024, 2048, 4096)) -> list[Ratio]:
    """Time and memory by side of the image in pixels."""
    network, found = network_of(), []
    for size in sizes:
        image = torch.randn(1, 3, size, size)
        if size <= WHOLE and not torch.equal(*(slide(network, way, image) for way in WAYS)):
            raise AssertionError(f'logits differ at {size} px')
        ways = WAYS if size <= WHOLE else WAYS[:1]
        spent = fastest({way: partial(slide, network, way, image) for way in ways}, 1)
        reference = spent.get(WAYS[1]) or extrapolated(network, image)
        peaks = [alone(peak_of, way, size) for way in WAYS]
        beside = WAYS[1] if size <= WHOLE else f'{WAYS[1]}, extrapolated'
        found.append(Ratio(f'sliding over {size} px', spent['ours'], beside, reference, 's'))
        found.append(Ratio(f'sliding over {size} px, memory', peaks[0], 'MMSegmentation', peaks[1], 'MiB'))
    return found


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sizes', type=int, nargs='+', default=[1024, 2048, 4096], help='sides in pixels')
    print(table_of(ratios(parser.parse_args().sizes)))
