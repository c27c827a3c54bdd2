"""Arguments of self-training that are out of range, and those that MMSegmentation's entry points pass."""

from __future__ import annotations

from typing import Any


def check_settings(
    warmup_iterations: int | None, threshold: float, margins: tuple[int, int, int, int], quality_weight: str
) -> None:
    """Refuse settings of pseudo-labels that are out of range.

    Args:
        warmup_iterations: As in `MeanTeacherSegmentor`, with the others.
        threshold: Its ``pseudo_label_threshold``.
        margins: Its ``pseudo_label_margins``.
        quality_weight: Likewise.

    Raises:
        ValueError: Naming the first of them.
    """
    if warmup_iterations is not None and warmup_iterations < 0:
        raise ValueError(f'warmup_iterations is {warmup_iterations}: give a number of iterations >= 0')
    if not 0 <= threshold <= 1:
        raise ValueError(f'pseudo_label_threshold is {threshold}: give a confidence in [0, 1]')
    if len(margins) != 4 or min(margins) < 0:
        raise ValueError(
            f'pseudo_label_margins is {margins}: give four numbers of pixels >= 0 (top, bottom, left, right)'
        )
    if quality_weight not in ('image', 'batch'):
        raise ValueError(f"quality_weight is {quality_weight!r}: choose 'image' or 'batch'")


def check_passed_on(
    pretrained: None, train_cfg: None, test_cfg: dict[str, Any] | None, decode_head: dict[str, Any] | None
) -> None:
    """Refuse what MMSegmentation's functions and tools pass to any model, where it holds more than they do.

    Args:
        pretrained: As in `MeanTeacherSegmentor`, with the others.
        train_cfg: Likewise.
        test_cfg: Likewise.
        decode_head: Likewise.

    Raises:
        ValueError: Naming where such settings belong.
    """
    if pretrained is not None or train_cfg is not None:
        raise ValueError('pretrained and train_cfg say nothing here: put weights into init_cfg or load_from')
    if test_cfg is not None and 'type' not in test_cfg:
        raise ValueError(f'test_cfg is {dict(test_cfg)}: give it as segmentor.test_cfg')
    if decode_head is not None and set(decode_head) != {'type'}:
        raise ValueError('decode_head only names a type, for get_flops: give the settings as segmentor.decode_head')
