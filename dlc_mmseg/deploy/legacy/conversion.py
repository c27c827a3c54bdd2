"""Total conversion of legacy state dicts: every key is mapped or dropped, every target filled, shapes compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

import dlc_mmseg.models  # noqa: F401  registers what the architectures name
from dlc_mmseg.deploy.legacy.architecture import architecture_name, read_backbone, read_segmentor
from dlc_mmseg.deploy.legacy.keys import convert_network
from dlc_mmseg.errors import UserError

TRANSITION = {'ntm_correct.ntm': 'transition.logits', 'ntm_correct.posterior': 'transition.prior_logits'}
"""Free logits of ``T[i, j] = P(pseudo-label = j | true label = i)``, (K, K), and of the class prior, (K,) here."""

DROPPED = {
    r'ntm_correct\.convex_matrix\..+': 'solved exactly from T where it is needed',
    r'ntm_correct\.(ntm|posterior)': 'the model has no transition matrix',
    r'ema_model\..+': 'the model has no teacher',
    r'imnet_model\..+': 'ImageNet reference of the feature distance: nothing in the model takes it',
    r'(backbone\.)?head\.(weight|bias)': 'ImageNet classifier',
}
"""Source keys that a model may have no place for, and why."""

LEARNT = re.compile(r'(student|teacher|feature_distance\.backbone)\..+|transition\.(prior_)?logits')
"""Target keys that a source must fill; the others are counters and optimizer moments, which no legacy file has."""


@dataclass
class Conversion:
    """A converted state dict.

    Attributes:
        kind: ``adaptation`` (student, teacher, ...), ``segmentor`` or ``backbone``.
        architecture: Config of the student, the segmentor or the backbone, read from the source's shapes.
        state: New key -> tensor.
        origin: New key -> the source keys it was made of.
        dropped: Source key -> why nothing takes it.
        fresh: New keys without a source: counters and optimizer moments at their starting values.
    """

    kind: str
    architecture: dict[str, Any]
    state: dict[str, Tensor] = field(default_factory=dict)
    origin: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)

    @property
    def description(self) -> str:
        """One line for a person."""
        return f'{self.kind} checkpoint, {architecture_name(self.architecture)}'


class _Network(NamedTuple):
    """Source keys that start with `start`: `old` is replaced by `bare` to read them, by `new` to write them."""

    start: str
    old: str
    bare: str
    new: str


class _Candidates(NamedTuple):
    state: dict[str, Tensor]
    origin: dict[str, tuple[str, ...]]
    unknown: list[str]


_STUDENT = _Network('model.', 'model.', '', 'student.')
_TEACHER = _Network('ema_model.', 'ema_model.', '', 'teacher.')
_REFERENCE = _Network('imnet_model.backbone.', 'imnet_model.', '', 'feature_distance.')
_PLAIN = _Network('', '', '', 'student.')
_IMAGENET = _Network('', '', 'backbone.', 'student.backbone.')


def convert_state_dict(
    state: Mapping[str, Tensor], model: nn.Module | None = None, *, iteration: int = 0
) -> Conversion:
    """Convert a state dict of the original implementations.

    Args:
        state: Old key -> tensor: an adaptation (``model.``, ``ema_model.``, ...), one segmentor, or a backbone.
        model: The model that shall load it; None builds the one the shapes describe. A plain segmentor takes the
            student of an adaptation. A segmentor or backbone keeps plain keys, also for an adaptation model.
        iteration: Training iterations behind an adaptation; its teacher goes on from there.

    Returns:
        The conversion: every source key mapped or dropped, every target key filled, shapes equal.

    Raises:
        UserError: With the first keys that do not fit.
    """
    kind, networks = _layout(state)
    candidates = _candidates(state, networks)
    student = {
        key.removeprefix('student.'): value for key, value in candidates.state.items() if key.startswith('student.')
    }
    architecture = read_backbone(student) if kind == 'backbone' else read_segmentor(student)
    expected = _expected(kind, architecture, model, with_transition='ntm_correct.ntm' in state)
    conversion = Conversion(kind, architecture)
    problems = _match(conversion, candidates, expected, iteration)
    if problems:
        more = f' and {len(problems) - 3} more' if len(problems) > 3 else ''
        target = 'the config' if model is not None else 'its own architecture'
        remedy = 'give the config of this network, or none' if model is not None else 'give a complete checkpoint'
        first = '; '.join(problems[:3])
        raise UserError(architecture_name(architecture), f'does not fit {target} ({first}{more})', remedy)
    if kind != 'adaptation' or not any(key.startswith('teacher.') for key in expected):
        _strip(conversion, networks[0].new if networks[0] is _IMAGENET else 'student.')
    return conversion


def _layout(state: Mapping[str, Tensor]) -> tuple[str, list[_Network]]:
    """What kind of checkpoint the source is, and its networks, the student first."""
    roots = {key.partition('.')[0] for key in state}
    if {'model', 'ema_model'} <= roots:
        return 'adaptation', [_STUDENT, _TEACHER, _REFERENCE]
    if 'model' in roots:
        return 'segmentor', [_STUDENT]
    if 'decode_head' in roots:
        return 'segmentor', [_PLAIN]
    if 'backbone.patch_embed1.proj.weight' in state:
        return 'backbone', [_PLAIN]
    if 'patch_embed1' in roots:
        return 'backbone', [_IMAGENET]
    first = ', '.join(list(state)[:3])
    raise UserError(
        None,
        f'keys are not those of DLC, MIC, HRDA, DAFormer or SegFormer releases ({first}, ...)',
        'convert one of these; checkpoints of MMSegmentation 1.x need no conversion',
    )


def _candidates(state: Mapping[str, Tensor], networks: list[_Network]) -> _Candidates:
    """All tensors under the names they would have in an adaptation model."""
    found = _Candidates({}, {}, [])
    left = dict(state)
    for network in networks:
        keys = [key for key in left if key.startswith(network.start)]
        sources = {network.bare + key[len(network.old) :]: key for key in keys}
        converted = convert_network({bare: left.pop(key) for bare, key in sources.items()})
        for key, value in converted.state.items():
            target = network.new + key[len(network.bare) :]
            found.state[target] = value
            found.origin[target] = tuple(sources[bare] for bare in converted.origin[key])
        found.unknown.extend(sources[bare] for bare in converted.unknown)
    for old, new in TRANSITION.items():
        if old in left:
            value = left.pop(old)
            found.state[new] = value.flatten() if new == 'transition.prior_logits' else value
            found.origin[new] = (old,)
    found.unknown.extend(left)
    return found


def _expected(
    kind: str, architecture: dict[str, Any], model: nn.Module | None, *, with_transition: bool
) -> dict[str, Tensor]:
    """The tensors to be filled, a lone segmentor's or backbone's under ``student.``."""
    if model is None and kind == 'adaptation':
        transition = {'type': 'NoiseTransitionMatrix', 'estimator': 'ConsensusEstimator'} if with_transition else None
        model = MODELS.build({'type': 'DLCSegmentor', 'segmentor': architecture, 'transition': transition})
    if model is None:
        prefix = 'student.backbone.' if kind == 'backbone' else 'student.'
        return {prefix + key: value for key, value in MODELS.build(architecture).state_dict().items()}
    expected: dict[str, Tensor] = model.state_dict()
    if not any(key.startswith('student.') for key in expected):
        expected = {f'student.{key}': value for key, value in expected.items()}
    if kind == 'adaptation':
        return expected
    wanted = 'student.backbone.' if kind == 'backbone' else 'student.'
    return {key: value for key, value in expected.items() if key.startswith(wanted)}


def _match(conversion: Conversion, candidates: _Candidates, expected: dict[str, Tensor], iteration: int) -> list[str]:
    """Put every candidate in its place; what does not fit is returned as text."""
    problems: list[str] = []
    roots = {key.partition('.')[0] for key in expected}
    for key, value in candidates.state.items():
        origin = candidates.origin[key]
        if key in expected and value.shape == expected[key].shape:
            conversion.state[key], conversion.origin[key] = value, origin
        elif key in expected:
            problems.append(f'{origin[0]} gives shape {tuple(value.shape)}, not {tuple(expected[key].shape)}')
        elif key.partition('.')[0] in roots or not all(_reason(name) for name in origin):
            problems.append(f'{origin[0]} has no place')
        else:
            conversion.dropped.update({name: _reason(name) for name in origin})
    for name in candidates.unknown:
        if _reason(name):
            conversion.dropped[name] = _reason(name)
        else:
            problems.append(f'{name} is not known')
    for key in expected:
        if not LEARNT.fullmatch(key):
            value = torch.full_like(expected[key], iteration) if key == 'iteration' else expected[key].clone()
            conversion.state[key] = value
            conversion.fresh.append(key)
        elif key not in candidates.state:
            problems.append(f'nothing fills {key}')
    return problems


def _reason(key: str) -> str:
    """Why a source key may be dropped; empty if it may not."""
    return next((reason for pattern, reason in DROPPED.items() if re.fullmatch(pattern, key)), '')


def _strip(conversion: Conversion, prefix: str) -> None:
    conversion.state = {key.removeprefix(prefix): value for key, value in conversion.state.items()}
    conversion.origin = {key.removeprefix(prefix): value for key, value in conversion.origin.items()}
