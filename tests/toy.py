"""Toy networks and batches: small enough that a training step takes milliseconds."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

NUM_CLASSES = 3


@MODELS.register_module()
class ToyBackbone(BaseModule):
    """Two levels of features at strides 2 and 4, with batch norms."""

    def __init__(self, in_channels: int = 3, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(in_channels, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        shallow = self.first(images)
        return shallow, self.second(shallow)


def head(*, in_index: int = 1, num_classes: int = NUM_CLASSES, **changes: Any) -> dict[str, Any]:
    return {
        'type': 'FCNHead',
        'in_channels': 8,
        'in_index': in_index,
        'channels': 8,
        'num_convs': 1,
        'concat_input': False,
        'dropout_ratio': 0.0,
        'num_classes': num_classes,
        'norm_cfg': {'type': 'BN'},
        'align_corners': False,
        'loss_decode': {'type': 'CrossEntropyLoss', 'loss_weight': 1.0},
        **changes,
    }


def segmentor(*, auxiliary: bool = False, num_classes: int = NUM_CLASSES, in_channels: int = 3) -> dict[str, Any]:
    config: dict[str, Any] = {
        'type': 'EncoderDecoder',
        'backbone': {'type': 'ToyBackbone', 'in_channels': in_channels},
        'decode_head': head(num_classes=num_classes),
        'test_cfg': {'mode': 'whole'},
    }
    if auxiliary:
        loss = {'type': 'CrossEntropyLoss', 'loss_weight': 0.4}
        config['auxiliary_head'] = head(in_index=0, num_classes=num_classes, loss_decode=loss)
    return ConfigDict(config)


def preprocessor(channels: int = 3) -> dict[str, Any]:
    return {'type': 'PairedDomainDataPreprocessor', 'mean': [127.5] * channels, 'std': [60.0] * channels}


def dlc(**changes: Any) -> dict[str, Any]:
    """The full method at toy size."""
    config: dict[str, Any] = {
        'type': 'DLCSegmentor',
        'segmentor': segmentor(),
        'data_preprocessor': preprocessor(),
        'class_mix': {'type': 'ClassMix'},
        'masked_consistency': {'type': 'MaskedImageConsistency', 'block_size': 4},
        'strong_augmentation': {'type': 'StrongAugmentation'},
        'pseudo_label_threshold': 0.34,
        'target_loss': {'type': 'ForwardCorrectedCrossEntropyLoss', 'label_smoothing': 0.02, 'ce_weight': 0.8},
        'transition': {'type': 'NoiseTransitionMatrix'},
        'volume_loss': {'type': 'TransitionVolumeLoss', 'loss_weight': 0.1},
        'convexity_loss': {'type': 'TransitionConvexityLoss', 'loss_weight': 0.1},
    }
    return {**config, **changes}


def domain_batch(
    *, labelled: bool, seed: int = 0, size: tuple[int, int] = (16, 24), batch_size: int = 2, channels: int = 3
) -> dict[str, Any]:
    """Half of a batch as the data loader gives it: images whose brightness follows the label."""
    generator = torch.Generator().manual_seed(seed)
    inputs, data_samples = [], []
    for _ in range(batch_size):
        labels = torch.randint(0, NUM_CLASSES, (1, size[0] // 8, size[1] // 8), generator=generator)
        labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)
        noise = torch.randint(0, 40, (channels, *size), generator=generator)
        inputs.append((labels * 80 + noise).clamp(0, 255).to(torch.uint8))
        sample = SegDataSample(metainfo={'img_shape': size, 'ori_shape': size})
        if labelled:
            labels = labels.clone()
            labels[:, :2] = 255
            sample.gt_sem_seg = PixelData(data=labels)
        data_samples.append(sample)
    return {'inputs': inputs, 'data_samples': data_samples}


def paired_batch(seed: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        'source': domain_batch(labelled=True, seed=seed, **changes),
        'target': domain_batch(labelled=False, seed=seed + 1000, **changes),
    }


def optim_wrapper(model: nn.Module, rate: float = 0.01, **changes: Any) -> Any:
    from mmengine.optim import build_optim_wrapper

    config = {'type': 'OptimWrapper', 'optimizer': {'type': 'SGD', 'lr': rate}, **changes}
    return build_optim_wrapper(model, config)
