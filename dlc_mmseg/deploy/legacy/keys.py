"""Names of one network's tensors: SegFormer, DAFormer and HRDA as their authors wrote them, and as they are here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from dlc_mmseg.errors import UserError


class Converted(NamedTuple):
    """Tensors of one network under their new names.

    Attributes:
        state: New key -> tensor.
        origin: New key -> the old keys it was made of.
        unknown: Old keys that no rule knows, in the order they came.
    """

    state: dict[str, Tensor]
    origin: dict[str, tuple[str, ...]]
    unknown: list[str]


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    target: str
    convert: Callable[[Tensor], Tensor]
    part: int  # place among the tensors stacked to one target


def _same(tensor: Tensor) -> Tensor:
    return tensor


def _linear_to_conv(tensor: Tensor) -> Tensor:
    return tensor[..., None, None] if tensor.dim() == 2 else tensor


def _rule(pattern: str, target: str, convert: Callable[[Tensor], Tensor] = _same, part: int = 0) -> _Rule:
    return _Rule(re.compile(pattern), target, convert, part)


_STAGE = r'(?P<prefix>backbone)\.{}(?P<stage>[1-4])\.'
_PATCH = _STAGE.format('patch_embed')
_BLOCK = _STAGE.format('block') + r'(?P<block>\d+)\.'
_HEAD = r'(?P<prefix>decode_head(?:\.head|\.scale_attention)?)\.'
_LEAF = r'(?P<leaf>weight|bias)'
_LAYER = '{prefix}.layers.{stage}.'

RULES = (
    _rule(_PATCH + r'proj\.' + _LEAF, _LAYER + '0.projection.{leaf}'),
    _rule(_PATCH + r'norm\.' + _LEAF, _LAYER + '0.norm.{leaf}'),
    _rule(_BLOCK + r'attn\.q\.' + _LEAF, _LAYER + '1.{block}.attn.attn.in_proj_{leaf}'),
    _rule(_BLOCK + r'attn\.kv\.' + _LEAF, _LAYER + '1.{block}.attn.attn.in_proj_{leaf}', part=1),
    _rule(_BLOCK + r'attn\.proj\.' + _LEAF, _LAYER + '1.{block}.attn.attn.out_proj.{leaf}'),
    _rule(_BLOCK + r'attn\.(?P<name>sr|norm)\.' + _LEAF, _LAYER + '1.{block}.attn.{name}.{leaf}'),
    _rule(_BLOCK + r'(?P<name>norm[12])\.' + _LEAF, _LAYER + '1.{block}.{name}.{leaf}'),
    _rule(_BLOCK + r'mlp\.fc1\.' + _LEAF, _LAYER + '1.{block}.ffn.layers.0.{leaf}', _linear_to_conv),
    _rule(_BLOCK + r'mlp\.dwconv\.dwconv\.' + _LEAF, _LAYER + '1.{block}.ffn.layers.1.{leaf}'),
    _rule(_BLOCK + r'mlp\.fc2\.' + _LEAF, _LAYER + '1.{block}.ffn.layers.4.{leaf}', _linear_to_conv),
    _rule(_STAGE.format('norm') + _LEAF, _LAYER + '2.{leaf}'),
    _rule(
        _HEAD + r'embed_layers\.(?P<level>\d+)\.proj\.' + _LEAF,
        '{prefix}.embed_layers.{level}.{leaf}',
        _linear_to_conv,
    ),
    _rule(_HEAD + r'(?P<rest>(?:conv_seg|fuse_layer)\..+)', '{prefix}.{rest}'),
)
"""Old name -> new name; the linear layers that MMSegmentation and this package write as 1x1 convolutions are
reshaped, and query and key-value projections are stacked in this order to the one of `nn.MultiheadAttention`."""


def convert_network(state: Mapping[str, Tensor]) -> Converted:
    """Rename the tensors of one network.

    Args:
        state: Old keys, starting with ``backbone.`` or ``decode_head.``.

    Returns:
        The renamed tensors; what no rule knows is listed, not guessed.

    Raises:
        UserError: If a query projection comes without its key-value projection or does not fit it.
    """
    parts: dict[str, dict[int, tuple[str, Tensor]]] = {}
    unknown: list[str] = []
    for key, tensor in state.items():
        rule, target = _match(key)
        if rule is None:
            unknown.append(key)
        else:
            parts.setdefault(target, {})[rule.part] = (key, rule.convert(tensor))
    converted = {target: _stacked(target, pieces) for target, pieces in parts.items()}
    origin = {target: tuple(pieces[part][0] for part in sorted(pieces)) for target, pieces in parts.items()}
    return Converted(converted, origin, unknown)


def new_name(key: str) -> str | None:
    """New name of the tensor that an old key is, or is part of; None if no rule knows it."""
    return _match(key)[1] or None


def _match(key: str) -> tuple[_Rule | None, str]:
    for rule in RULES:
        match = rule.pattern.fullmatch(key)
        if match:
            fields = match.groupdict()
            if 'stage' in fields:
                fields['stage'] = str(int(fields['stage']) - 1)
            return rule, rule.target.format(**fields)
    return None, ''


def _stacked(target: str, pieces: dict[int, tuple[str, Tensor]]) -> Tensor:
    if 'in_proj_' not in target:
        return pieces[0][1]
    if set(pieces) != {0, 1}:
        (key, _), *_ = pieces.values()
        raise UserError(key, 'its other half (attn.q / attn.kv) is missing', 'convert a checkpoint that is complete')
    (query_key, query), (key, both) = pieces[0], pieces[1]
    if both.shape != (2 * query.shape[0], *query.shape[1:]):
        raise UserError(
            key,
            f'shape {tuple(both.shape)} is not twice that of {query_key}, {tuple(query.shape)}: no MiT attention',
            'convert a checkpoint of a Mix Transformer',
        )
    return torch.cat([query, both])
