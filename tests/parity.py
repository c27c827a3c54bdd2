"""What the original implementation computed (../shared/parity), in this package's terms."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from dlc_mmseg.deploy.legacy.keys import new_name


def legacy_state_module(parity_dir: Path) -> ModuleType:
    """The script beside the figures that rebuilds weights and inputs."""
    spec = importlib.util.spec_from_file_location('legacy_state', parity_dir / 'legacy_state.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
