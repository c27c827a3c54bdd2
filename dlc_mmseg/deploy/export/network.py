"""Which network of a trained model predicts, and what it needs to know of its input and output."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmseg.models.segmentors.base import BaseSegmentor
from torch import Tensor

from dlc_mmseg.deploy.class_descriptions import described_classes
from dlc_mmseg.deploy.noise.predicting import load_model, model_settings
from dlc_mmseg.models.segmentors.wrapping import WrappingSegmentor

_SYNCHRONISED = ('SyncBN', 'MMSyncBN', 'naiveSyncBN')


class Network(NamedTuple):
    """The network that predicts, without teacher or student beside it.

    Attributes:
        segmentor: An MMSegmentation segmentor in evaluation mode, on the CPU.
        config: Its config: no initial weights, batch norms of one process.
        preprocessor: Config of the data preprocessor it was trained with; ``mean`` and ``std`` are numbers.
        role: ``student``, ``teacher``, or ``model`` if the config trains a plain segmentor.
        classes: Names of the classes, in the order of the output channels.
        palette: RGB colour of each class; None if neither checkpoint nor config names one.
        checkpoint_bytes: Size of the checkpoint it came from.
    """

    segmentor: BaseSegmentor
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    role: str
    classes: tuple[str, ...]
    palette: list[list[int]] | None
    checkpoint_bytes: int


def predicting_network(config: Config, checkpoint: str | Path) -> Network:
    """Load a trained model and take out the network that its config validates and tests with.

    Args:
        config: Config of the run: a `DLCSegmentor`, a `MeanTeacherSegmentor`, or any MMSegmentation segmentor.
        checkpoint: Its checkpoint.

    Returns:
        The network and its description.

    Raises:
        UserError: If the checkpoint is missing, damaged, unsafe, or does not fit the config.
    """
    model = load_model(config, checkpoint)
    settings = Config({'model': model_settings(config)}).to_dict()['model']  # types of pure-Python configs by name
    preprocessor = dict(settings.pop('data_preprocessor', None) or {})
    segmentor, role = model, 'model'
    if isinstance(model, WrappingSegmentor):
        segmentor, role, settings = model.inference_network, model.predict_with, settings['segmentor']
    for name in ('mean', 'std'):
        value = getattr(model.data_preprocessor, name, None)
        if isinstance(value, Tensor):
            preprocessor[name] = [float(str(entry)) for entry in value.flatten().numpy()]  # 123.675, as it was written
    count = int(segmentor.num_classes)  # type: ignore[arg-type]  # of BaseModule, to a checker
    classes, palette = described_classes(config, checkpoint, count)
    plain = as_built(settings)
    return Network(segmentor.eval(), plain, preprocessor, role, classes, palette, Path(checkpoint).stat().st_size)


def as_built(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Config of a network whose weights come from a checkpoint, to be run by a single process.

    Args:
        settings: Config of a segmentor.

    Returns:
        A copy without initial weights (``init_cfg``, ``pretrained``), with plain instead of synchronised batch norms,
        and with types by name.
    """

    def change(value: Any) -> Any:
        if isinstance(value, Mapping):
            kept = {name: change(entry) for name, entry in value.items() if name not in ('init_cfg', 'pretrained')}
            if isinstance(kept.get('type'), type):
                kept['type'] = kept['type'].__name__
            if kept.get('type') in _SYNCHRONISED:
                kept['type'] = 'BN'
            return kept
        if isinstance(value, (list, tuple)):
            return type(value)(change(entry) for entry in value)
        return copy.deepcopy(value)

    changed: dict[str, Any] = change(settings)
    return changed


def image_logits(segmentor: BaseSegmentor) -> Callable[[Tensor], Tensor]:
    """The function from normalised images to logits of the same size, without sliding windows.

    Args:
        segmentor: The network.

    Returns:
        A function from images (B, C, H, W) to logits (B, K, H, W).
    """

    def logits(images: Tensor) -> Tensor:
        size = (int(images.shape[-2]), int(images.shape[-1]))
        metas = [{'img_shape': size, 'ori_shape': size, 'pad_shape': size}] * int(images.shape[0])
        predicted: Tensor = segmentor.encode_decode(images, metas)  # type: ignore[arg-type]  # they are dicts
        if tuple(predicted.shape[-2:]) == size:
            return predicted
        return torch.nn.functional.interpolate(
            predicted, size, mode='bilinear', align_corners=bool(segmentor.align_corners)
        )

    return logits
