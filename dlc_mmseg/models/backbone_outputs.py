"""Outputs of a backbone: recorded as they pass by, and picked by level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from dlc_mmseg.errors import UserError


@contextmanager
def first_output(module: nn.Module) -> Iterator[list[tuple[Tensor, ...]]]:
    """Record what a module (a backbone) returns at its first call within the context.

    Args:
        module: The module to listen to.

    Yields:
        A list that is empty before the call and holds one tuple of tensors after it.
    """
    outputs: list[tuple[Tensor, ...]] = []

    def record(_module: nn.Module, _inputs: object, output: Tensor | list[Tensor] | tuple[Tensor, ...]) -> None:
        if not outputs:
            outputs.append((output,) if isinstance(output, Tensor) else tuple(output))

    handle = module.register_forward_hook(record)
    try:
        yield outputs
    finally:
        handle.remove()


def level_of(features: Sequence[Tensor], level: int) -> Tensor:
    """One of a backbone's outputs.

    Args:
        features: Outputs, shallow to deep.
        level: Which, 0 being the shallowest, -1 the deepest.

    Raises:
        UserError: If there is no such level.
    """
    if not -len(features) <= level < len(features):
        levels = f'the backbone has {len(features)}, 0 to {len(features) - 1}'
        raise UserError(f'feature level {level}', levels, 'take one of them')
    return features[level]
