"""Losses of the heads: with pixels to ignore, on the target, and at batch size 1."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm

from dlc_mmseg.checks.report import RAISED, Report, one_line

_TARGET_LOSS = 'ForwardCorrectedCrossEntropyLoss'
_POOLING = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


def check_losses(config: Mapping[str, Any], model: nn.Module, report: Report) -> None:
    """Try the losses of the heads on pixels of which some are ignored, and find what does not reach the target.

    Args:
        config: The whole config.
        model: Its model.
        report: Receives losses that fail, and class weights that only the source gets.
    """
    settings = config.get('model') or {}
    adapts = any(settings.get(name) is not None for name in ('class_mix', 'masked_consistency'))
    target = settings.get('target_loss') or {}
    takes_weights = 'class_weight' in _parameters(target.get('type', _TARGET_LOSS))
    for where, head in _heads(model):
        for loss in _losses(head):
            problem = _problem(loss, head)
            weighed = getattr(loss, 'class_weight', None) is not None
            if problem is not None:
                weights = ', class_weight=[...]' if weighed else ''
                remedy = f"take dict(type='{_TARGET_LOSS}', reduction='valid_mean'{weights}) in its place"
                report.error(where, f'{type(loss).__name__} {problem}', remedy)
            elif weighed and adapts and takes_weights and 'class_weight' not in target:
                what = 'weighs the classes of source images only'
                remedy = 'give model.target_loss a class_weight too, or class_weight=None if all are to count the same'
                report.warning(f'{where}.class_weight', what, remedy)
    given = target.get('class_weight')
    number = next((head.num_classes for _, head in _heads(model)), None)
    if isinstance(given, (list, tuple)) and number is not None and len(given) != number:
        what = f'has {len(given)} values for {number} classes'
        report.error('model.target_loss.class_weight', what, 'give one per class')


def check_pooled_norms(config: Mapping[str, Any], model: nn.Module, report: Report) -> None:
    """Find batch norms that see one value per channel and image, at batch size 1.

    Args:
        config: The whole config.
        model: Its model.
        report: Receives the first.
    """
    if (config.get('train_dataloader') or {}).get('batch_size') != 1:
        return
    for name, part in _trained(model):
        if isinstance(part, nn.Sequential) and _pools_before_norm(part):
            what = f'is 1, and {_field(name)} pools an image to one value per channel, which no batch norm can train on'
            remedy = "set it to 2 or more, or take norm_cfg=dict(type='GN', num_groups=32) for that head"
            report.error('train_dataloader.batch_size', what, remedy)
            return


def _pools_before_norm(steps: nn.Sequential) -> bool:
    pooled = False
    for step in steps:
        if isinstance(step, _POOLING) and step.output_size in (1, (1, 1)):
            pooled = True
        norms = [part for part in step.modules() if isinstance(part, _BatchNorm)]
        if pooled and any(norm.training and not isinstance(norm, SyncBatchNorm) for norm in norms):
            return True
    return False


def _problem(loss: nn.Module, head: Any) -> str | None:
    """What goes wrong on labels of all classes and some to ignore; tried on the CPU, which survives it."""
    classes = max(int(head.num_classes), 2)
    labels = torch.tensor([[[*range(classes), head.ignore_index]] * 2])
    logits = torch.linspace(-1, 1, head.out_channels * labels.numel()).view(1, head.out_channels, *labels.shape[1:])
    try:
        with torch.no_grad():
            value = copy.deepcopy(loss).cpu()(logits, labels, weight=None, ignore_index=head.ignore_index)
    except RAISED as error:  # anything a loss may raise
        return f'fails on ignored pixels ({one_line(error)[:120]})'
    if isinstance(value, Tensor) and not bool(value.isfinite().all()):
        return f'gives {float(value.sum())} on ignored pixels'
    return None


def _heads(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Heads with a loss of one map of logits, by the field of it."""
    for name, part in _trained(model):
        plain = getattr(type(part), 'loss_by_feat', None) is BaseDecodeHead.loss_by_feat
        if plain and not name.endswith('scale_attention'):  # which has no labels
            yield f'{_field(name)}.loss_decode', part


def _losses(head: Any) -> list[nn.Module]:
    losses = head.loss_decode
    return list(losses) if isinstance(losses, nn.ModuleList) else [losses]


def _trained(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, part in model.named_modules():
        if not name.startswith('teacher.'):
            yield name, part


def _field(name: str) -> str:
    """Where the config has what the model calls so."""
    return f'model.segmentor{name.removeprefix("student")}' if name.startswith('student') else f'model.{name}'


def _parameters(kind: Any) -> set[str]:
    built = MODELS.get(kind) if isinstance(kind, str) else kind
    return set(inspect.signature(built).parameters) if callable(built) else set()
