"""Checkpoints of plain segmentors as the start of an adaptation."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def accept_plain_checkpoint(model: nn.Module) -> None:
    """Let a model with the parts ``student`` and ``teacher`` load the checkpoint of a plain MMSegmentation segmentor.

    Keys without a ``student.`` prefix are taken for both networks; everything else (transition matrix, counters) keeps
    its initial value.

    Args:
        model: The adaptation segmentor.
    """

    def rename(state_dict: dict[str, Tensor], prefix: str, *_: Any) -> None:
        if prefix or any(key.startswith(('student.', 'teacher.')) for key in state_dict):
            return
        own = {f'{part}.{key}' for part in ('student', 'teacher') for key in getattr(model, part).state_dict()}
        for key in [key for key in state_dict if f'student.{key}' in own]:
            value = state_dict.pop(key)
            state_dict[f'student.{key}'] = value
            state_dict[f'teacher.{key}'] = value
        if any(key.startswith('student.') for key in state_dict):
            for key, value in model.state_dict().items():
                if not key.startswith(('student.', 'teacher.')):
                    state_dict.setdefault(key, value)

    model._register_load_state_dict_pre_hook(rename)  # type: ignore[no-untyped-call]
