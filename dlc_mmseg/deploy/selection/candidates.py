"""The networks to choose from, out of one or several checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor

from dlc_mmseg.deploy.noise.predicting import model_settings
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file
from dlc_mmseg.models.segmentors.loading import keep_whole_state
from dlc_mmseg.models.segmentors.sliding import slide_linearly

Networks = Literal['predicting', 'student', 'teacher', 'both']
"""Which networks of an adaptation checkpoint are candidates: the one that its config predicts with, or others."""


class Candidate(NamedTuple):
    """A network that might be used.

    Attributes:
        name: Checkpoint, and which network of it.
        network: The network with its data preprocessor, in evaluation mode.
        accuracy: Share of right predictions that the learnt T and prior claim, ``sum_i prior_i T_ii``; None where no T
            was learnt (yet, in a warm-up), and for a student, whose errors T does not describe.
    """

    name: str
    network: EncoderDecoder
    accuracy: float | None


def load_candidates(config: Config, checkpoint: Path, networks: Networks, device: str = 'cpu') -> list[Candidate]:
    """Networks of a checkpoint.

    Args:
        config: Config of the run, or of another run with the same network and preprocessing.
        checkpoint: A checkpoint of a `DLCSegmentor` or `MeanTeacherSegmentor`, or of a plain segmentor.
        networks: Which networks of it.
        device: Torch device.

    Returns:
        One candidate, or the student and the teacher.

    Raises:
        UserError: If the checkpoint is missing, damaged, unsafe, or holds another network.
    """
    loaded = load_checkpoint_file(checkpoint)
    state: dict[str, Tensor] = loaded.get('state_dict', loaded)
    if not any(name.startswith('student.') for name in state):
        return [Candidate(str(checkpoint), _network(config, state, checkpoint, device), None)]
    predicting = str(config.model.get('predict_with', 'student'))
    roles = {'predicting': (predicting,), 'both': ('student', 'teacher')}.get(networks, (networks,))
    # what `mean='auto'` stood for in this run
    statistics = {name: value for name, value in state.items() if name.startswith('data_preprocessor.')}
    candidates = []
    for role in roles:
        own = {name.removeprefix(f'{role}.'): value for name, value in state.items() if name.startswith(f'{role}.')}
        network = _network(config, {**own, **statistics}, checkpoint, device)
        accuracy = _claimed_accuracy(state) if role == 'teacher' else None
        candidates.append(Candidate(f'{checkpoint} ({role})', network, accuracy))
    return candidates


def _network(config: Config, state: Mapping[str, Tensor], checkpoint: Path, device: str) -> EncoderDecoder:
    """The segmentor inside the config's model, alone."""
    init_default_scope(config.get('default_scope') or 'mmseg')
    whole = model_settings(config)
    settings: dict[str, Any] = dict(whole.get('segmentor') or whole)
    settings.setdefault('data_preprocessor', whole.get('data_preprocessor'))
    network: EncoderDecoder = MODELS.build(settings)
    keep_whole_state(network)
    slide_linearly(network)
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:300]
        remedy = 'compare checkpoints of one network, and give the config of one of them'
        raise UserError(checkpoint, f'does not fit the network of the config ({reason})', remedy) from error
    network.to(device).eval()
    return network


def _claimed_accuracy(state: Mapping[str, Tensor]) -> float | None:
    logits, prior = state.get('transition.logits'), state.get('transition.prior_logits')
    if logits is None or prior is None or state.get('transition.steps') == 0:  # in a warm-up T is what it began as
        return None
    return float((prior.double().softmax(0) * logits.double().softmax(1).diagonal()).sum())
