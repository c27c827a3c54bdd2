"""What a checkpoint holds of a segmentor, and plain segmentors' checkpoints as the start of an adaptation."""

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


def keep_whole_state(segmentor: nn.Module) -> None:
    """Let checkpoints hold all weights of a segmentor with low-rank adapters.

    MMPreTrain's LoRAModel takes every entry without ``lora_`` out of the state dict that is being gathered, also those
    of other modules, and hides from `load_state_dict` that they are missing: with a student and a teacher in one
    checkpoint, the student's neck and head and the counter of iterations would be lost without a word. Without these
    hooks the adapted network's own weights are saved as well, so that a checkpoint is complete.

    Args:
        segmentor: Changed in place.
    """
    for module in segmentor.modules():
        if type(module).__name__ == 'LoRAModel':
            module._state_dict_hooks.clear()  # torch has no public way to remove the hooks of others
            module._load_state_dict_post_hooks.clear()
