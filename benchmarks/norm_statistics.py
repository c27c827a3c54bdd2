"""Which batch norm statistics should a source model predict the target with? Target mIoU under several.

Statistics are taken from target training crops in one large batch, layer by layer. ``mixture a`` is the share a of
the target's in place of the source's; ``matched, n`` weights target pixels to the class shares of the source after n
steps of EM (`dlc_mmseg.functional.norm_statistics`). No target label is used but to score.

Example:
    python benchmarks/adaptation.py --data drone --variants source_only --seeds 0
    python benchmarks/norm_statistics.py work_dirs/adaptation/drone/source_only/seed0/*/config.py
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
from adaptation_study import class_shares, student_figures  # noqa: F401  # registered by being imported
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import DATASETS, MODELS
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

import dlc_mmseg
from dlc_mmseg.functional.confusion import confusion_counts
from dlc_mmseg.functional.norm_statistics import (
    Moments,
    class_share_weights,
    shifted_posterior,
    weighted_moments,
    weights_on_grid,
)
from dlc_mmseg.models.segmentors.batch_statistics import norms_of
from dlc_mmseg.models.segmentors.target_batch import stacked_labels

_BATCH = 8
_EM_STEPS = (0, 1, 2, 3, 5)


def main() -> None:
    """Print a line per choice of statistics."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', type=Path, help='config.py of a source-only run; its last checkpoint lies beside it')
    parser.add_argument('--checkpoint', type=Path, help='another checkpoint of it')
    parser.add_argument('--crops', type=int, default=64, help='pairs of training crops')
    args = parser.parse_args()
    assert dlc_mmseg is not None
    init_default_scope('mmseg')
    config = Config.fromfile(args.config)
    checkpoint = args.checkpoint or max(args.config.parent.glob('iter_*.pth'), key=lambda path: path.stat().st_mtime)
    model = MODELS.build(config.model)
    model.load_state_dict(torch.load(checkpoint, map_location='cpu', weights_only=False)['state_dict'])
    source_shares, target = training_crops(model.eval(), DATASETS.build(config.train_dataloader.dataset), args.crops)
    validation = DATASETS.build(config.val_dataloader.dataset)
    print(f'{checkpoint}, class shares of the source {rounded(source_shares)}')
    for name, network, shares in choices(model.teacher, model.student, source_shares, target):
        iou, predicted = score(model, network, validation)
        told = '' if shares is None else f', target shares {rounded(shares)}'
        print(f'{name:14s} mIoU {iou:5.2f}, predicted {rounded(predicted)}{told}', flush=True)


def choices(teacher: EncoderDecoder, student: EncoderDecoder, source_shares: Tensor, target: Tensor) -> Any:
    """Names, networks with other statistics, and class shares of the target that these assume."""
    source = with_moments(teacher, [Moments(norm.running_mean, norm.running_var) for norm in norms_of(student)])
    yield 'source', source, None
    adapted = with_target_statistics(source, target, torch.ones_like(target[:, 0]))
    yield 'target', adapted, None
    for share in (0.25, 0.5, 0.75):
        pairs = zip(norms_of(source), norms_of(adapted), strict=True)
        mixed = [
            Moments(a.running_mean.lerp(b.running_mean, share), a.running_var.lerp(b.running_var, share))
            for a, b in pairs
        ]
        yield f'mixture {share}', with_moments(source, mixed), None
    probs = posterior = torch.cat([logits(source, part) for part in target.split(_BATCH)]).softmax(dim=1)
    for step in range(max(_EM_STEPS) + 1):
        shares = posterior.mean((0, 2, 3))
        if step in _EM_STEPS:
            weights = class_share_weights(posterior, source_shares, shares)
            yield f'matched, {step}', with_target_statistics(source, target, weights), shares
        posterior = shifted_posterior(probs, source_shares, shares)


def training_crops(model: Any, pairs: Any, count: int) -> tuple[Tensor, Tensor]:
    """Class shares of the source as training draws it, and normalised target crops (B, C, H, W)."""
    counts, images = torch.zeros(model.num_classes), []
    for number in range(count):
        item = pairs[number, 0]
        batch = {name: {key: [value] for key, value in part.items()} for name, part in item.items()}
        data = model.data_preprocessor(batch, True)
        labels = stacked_labels(data['data_samples']['source'])
        counts += torch.bincount(labels[labels < model.num_classes], minlength=model.num_classes)
        images.append(data['inputs']['target'])
    return counts / counts.sum(), torch.cat(images)


def with_moments(network: EncoderDecoder, moments: list[Moments]) -> EncoderDecoder:
    """A copy that normalises with other running statistics."""
    changed = copy.deepcopy(network).eval()
    for norm, (mean, var) in zip(norms_of(changed), moments, strict=True):
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
    return changed


@torch.no_grad()
def with_target_statistics(network: EncoderDecoder, images: Tensor, weights: Tensor) -> EncoderDecoder:
    """A copy that normalises with the weighted statistics of images, one layer after the other."""
    changed = copy.deepcopy(network).eval()

    def take(norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        mean, var = weighted_moments(inputs[0], weights_on_grid(weights, inputs[0]))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)

    handles = [norm.register_forward_pre_hook(take) for norm in norms_of(changed)]
    logits(changed, images)
    for handle in handles:
        handle.remove()
    return changed


@torch.no_grad()
def logits(network: EncoderDecoder, images: Tensor) -> Tensor:
    """Logits of the size of the images, shape (B, K, H, W)."""
    size = tuple(images.shape[-2:])
    metas = [{'img_shape': size, 'ori_shape': size, 'pad_shape': size}] * len(images)
    return network.encode_decode(images, metas)


def score(model: Any, network: EncoderDecoder, validation: Any) -> tuple[float, Tensor]:
    """MIoU in percent on the validation tiles, and the share of each class among predictions."""
    counts = torch.zeros(model.num_classes, model.num_classes, dtype=torch.long)
    for number in range(len(validation)):
        item = validation[number]
        data = model.data_preprocessor({key: [value] for key, value in item.items()}, False)
        labels = stacked_labels(data['data_samples'])
        counts += confusion_counts(labels, logits(network, data['inputs']).argmax(dim=1), model.num_classes)
    right = counts.diagonal()
    return float(100 * (right / (counts.sum(0) + counts.sum(1) - right)).nanmean()), counts.sum(0) / counts.sum()


def rounded(values: Tensor) -> str:
    """Two digits each."""
    return ' '.join(f'{value:.2f}' for value in values.tolist())


if __name__ == '__main__':
    main()
