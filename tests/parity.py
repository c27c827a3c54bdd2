"""What the original implementation computed (../shared/parity), in this package's terms."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from dlc_mmseg.deploy.conversion import convert_state_dict
from dlc_mmseg.deploy.legacy_keys import new_name


def legacy_state_module(parity_dir: Path) -> ModuleType:
    """The script beside the figures that rebuilds weights and inputs."""
    spec = importlib.util.spec_from_file_location('legacy_state', parity_dir / 'legacy_state.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load_recorded_steps(parity_dir: Path) -> dict[str, Any]:
    """Three training steps of MIC (see the folder's README)."""
    return torch.load(parity_dir / 'mic_steps_daformer.pt', weights_only=True)


def recorded_student(record: dict[str, Any]) -> tuple[ConfigDict, dict[str, Tensor]]:
    """Config and first weights of the recorded student: no dropout, no stochastic depth, loss named as theirs."""
    conversion = convert_state_dict(record['student_init'])
    config = ConfigDict(conversion.architecture, test_cfg={'mode': 'whole'})
    loss = {'type': 'CrossEntropyLoss', 'use_sigmoid': False, 'loss_weight': 1.0, 'loss_name': 'loss_seg'}
    config.decode_head.update(dropout_ratio=0.0, loss_decode=loss)
    return config, conversion.state


def recorded_samples(labels: Tensor) -> list[SegDataSample]:
    """Data samples of recorded labels, shape (B, 1, H, W)."""
    return [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]


def legacy_tensor(module: nn.Module, key: str, *, gradient: bool = False) -> Tensor:
    """A parameter, its gradient, or a buffer of a converted network, under its old key and in its old shape."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    tensor = tensors[new_name(key)]
    tensor = tensor.grad if gradient else tensor.detach()
    if '.attn.q.' in key:
        return tensor[: len(tensor) // 3]
    if '.attn.kv.' in key:
        return tensor[len(tensor) // 3 :]
    linear = key.endswith(('fc1.weight', 'fc2.weight')) or ('embed_layers' in key and key.endswith('weight'))
    return tensor.flatten(1) if linear else tensor
