"""Outputs of a segmentor's backbone: recorded as they pass by, and picked by level."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from dlc_mmseg.errors import UserError


class BackbonePass(NamedTuple):
    """One call of a backbone.

    Attributes:
        images: What it was given, shape (B, C, H, W): images as the segmentor scales and pads them.
        features: What it returned, each (B, D_i, h_i, w_i), shallow to deep.
    """

    images: Tensor
    features: tuple[Tensor, ...]


@contextmanager
def recorded_features(segmentor: EncoderDecoder) -> Iterator[list[BackbonePass]]:
    """Record what the backbone says of whole images, the features of `extract_feat`.

    A segmentor may call its backbone more often (HRDA does for its detail crops): what it calls outside
    `extract_feat`, before or after, is not recorded.

    Args:
        segmentor: The segmentor to listen to.

    Yields:
        A list that is empty before the first `extract_feat` and holds its call of the backbone after it.

    Raises:
        RuntimeError: If the segmentor did not extract features within the context.
    """
    passes: list[BackbonePass] = []
    overridden, extract_feat = vars(segmentor).get('extract_feat'), segmentor.extract_feat

    def record(
        _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | list[Tensor] | tuple[Tensor, ...]
    ) -> None:
        if not passes:
            passes.append(BackbonePass(inputs[0], (output,) if isinstance(output, Tensor) else tuple(output)))

    def listening(inputs: Tensor) -> Any:
        handle = segmentor.backbone.register_forward_hook(record)
        try:
            return extract_feat(inputs)
        finally:
            handle.remove()

    segmentor.extract_feat = listening  # type: ignore[method-assign]
    try:
        yield passes
    finally:
        del segmentor.extract_feat
        if overridden is not None:
            segmentor.extract_feat = overridden  # type: ignore[method-assign]
    if not passes:
        raise RuntimeError(f'{type(segmentor).__name__} predicts without calling its backbone in extract_feat')


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
