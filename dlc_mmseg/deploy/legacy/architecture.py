"""The architecture of a converted network, read from the shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from dlc_mmseg.errors import UserError

State = Mapping[str, Tensor]
WHOLE = 'convert a whole checkpoint of DLC, MIC, HRDA, DAFormer or SegFormer'
"""What to do about one that lacks tensors or has others."""

_SIZES = {
    (32, (2, 2, 2, 2)): 'MiT-B0',
    (64, (2, 2, 2, 2)): 'MiT-B1',
    (64, (3, 4, 6, 3)): 'MiT-B2',
    (64, (3, 4, 18, 3)): 'MiT-B3',
    (64, (3, 8, 27, 3)): 'MiT-B4',
    (64, (3, 6, 40, 3)): 'MiT-B5',
}


def read_backbone(state: State) -> dict[str, Any]:
    """Config of the Mix Transformer that a state dict belongs to.

    Args:
        state: Converted tensors, keys starting with ``backbone.``.

    Returns:
        Config of a `LegacyMixVisionTransformer`.

    Raises:
        UserError: If a tensor that tells the size is missing, or the sizes are those of no Mix Transformer.
    """
    patches = [_shape(state, f'backbone.layers.{stage}.0.projection.weight', 4) for stage in range(4)]
    widths = [patch[0] for patch in patches]
    if any(width % widths[0] for width in widths):
        raise UserError(None, f'stage widths {widths} are no multiples of the first: this is no Mix Transformer', WHOLE)
    hidden = _shape(state, 'backbone.layers.0.1.0.ffn.layers.0.weight', 4)[0]
    return {
        'type': 'LegacyMixVisionTransformer',
        'in_channels': patches[0][1],
        'embed_dims': widths[0],
        'num_layers': [_count(state, rf'backbone\.layers\.{stage}\.1\.(\d+)\.norm1\.weight') for stage in range(4)],
        'num_heads': [width // widths[0] for width in widths],
        'patch_sizes': [patch[2] for patch in patches],
        'strides': [4, 2, 2, 2],
        'sr_ratios': [_reduction(state, stage) for stage in range(4)],
        'mlp_ratio': hidden // widths[0],
    }


def read_segmentor(state: State) -> dict[str, Any]:
    """Config of the segmentor that a state dict belongs to.

    Args:
        state: Converted tensors, keys starting with ``backbone.`` and ``decode_head.``.

    Returns:
        Config of an `EncoderDecoder` with `DAFormerHead`, or of an `HRDAEncoderDecoder`; crop size and scales,
        which no tensor tells, are the published ones.

    Raises:
        UserError: If a tensor that tells the architecture is missing.
    """
    backbone = read_backbone(state)
    if not any(key.startswith('decode_head.head.') for key in state):
        head = _read_head(state, 'decode_head.')
        return {'type': 'EncoderDecoder', 'backbone': backbone, 'decode_head': head}
    hrda: dict[str, Any] = {'type': 'HRDAHead', 'head': _read_head(state, 'decode_head.head.')}
    if any(key.startswith('decode_head.scale_attention.') for key in state):
        hrda['scale_attention'] = _read_head(state, 'decode_head.scale_attention.')
    else:
        hrda['fixed_attention'] = 1.0
    return {
        'type': 'HRDAEncoderDecoder',
        'backbone': backbone,
        'decode_head': hrda,
        'crop_size': [256, 256],
        'scales': [0.5, 1.0],
    }


def architecture_name(architecture: Mapping[str, Any]) -> str:
    """One line for a person, e.g. ``MiT-B5, HRDA with class-wise attention, 6 classes``."""
    if architecture['type'] == 'LegacyMixVisionTransformer':
        size = (architecture['embed_dims'], tuple(architecture['num_layers']))
        return _SIZES.get(size, f'Mix Transformer of width {size[0]} and depths {list(size[1])}')
    backbone, head = architecture_name(architecture['backbone']), architecture['decode_head']
    if head['type'] != 'HRDAHead':
        return f'{backbone}, DAFormer, {head["num_classes"]} classes'
    kind = 'fixed'
    if 'scale_attention' in head:
        kind = 'shared' if head['scale_attention']['num_classes'] == 1 else 'class-wise'
    return f'{backbone}, HRDA with {kind} attention, {head["head"]["num_classes"]} classes'


def _read_head(state: State, prefix: str) -> dict[str, Any]:
    num_classes, channels = _shape(state, f'{prefix}conv_seg.weight', 4)[:2]
    levels = _count(state, re.escape(prefix) + r'embed_layers\.(\d+)\.weight')
    embeddings = [_shape(state, f'{prefix}embed_layers.{level}.weight', 4) for level in range(levels)]
    if not embeddings:
        raise UserError(f'{prefix}embed_layers.0.proj.weight', 'is missing: the decode head is no DAFormer head', WHOLE)
    return {
        'type': 'DAFormerHead',
        'in_channels': [embedding[1] for embedding in embeddings],
        'channels': channels,
        'num_classes': num_classes,
        'embed_dims': embeddings[0][0],
        'fusion': 'aspp' if f'{prefix}fuse_layer.bottleneck.conv.weight' in state else 'conv',
    }


def _shape(state: State, key: str, dimensions: int) -> tuple[int, ...]:
    if key not in state:
        raise UserError(
            None, f'nothing in the checkpoint gives {key}: it is incomplete or of another architecture', WHOLE
        )
    shape = tuple(state[key].shape)
    if len(shape) != dimensions:
        raise UserError(
            key, f'has shape {shape}, expected {dimensions} dimensions: it is of another architecture', WHOLE
        )
    return shape


def _count(state: Iterable[str], pattern: str) -> int:
    compiled = re.compile(pattern)
    numbers = [int(match[1]) for key in state if (match := compiled.fullmatch(key))]
    return max(numbers, default=-1) + 1


def _reduction(state: State, stage: int) -> int:
    key = f'backbone.layers.{stage}.1.0.attn.sr.weight'
    return int(state[key].shape[-1]) if key in state else 1
