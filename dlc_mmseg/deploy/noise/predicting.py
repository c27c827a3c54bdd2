"""A trained model on single images, outside the Runner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

from dlc_mmseg.errors import UserError
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file
from dlc_mmseg.functional.spread import spread_indices


class Prediction(NamedTuple):
    """One image with what is known and what is predicted.

    Attributes:
        name: File name of the image.
        image: Shape (H, W, C), as stored (RGB).
        labels: True labels, shape (H, W), 255 where unknown; None without labels.
        predicted: Predicted labels, shape (H, W).
    """

    name: str
    image: Tensor
    labels: Tensor | None
    predicted: Tensor


def model_settings(config: Config) -> dict[str, Any]:
    """Config of a model, with the data preprocessor that MMEngine's Runner would give it.

    Args:
        config: A whole config, left as it is; a ``data_preprocessor`` may stand in the model or beside it.

    Returns:
        The model's config, whose values are those of the whole one.
    """
    settings = dict(config.model)
    if config.get('data_preprocessor') is not None:
        settings.setdefault('data_preprocessor', config.data_preprocessor)
    return settings


def load_model(config: Config, checkpoint: str | Path, device: str = 'cpu') -> BaseSegmentor:
    """Build a config's model and load a checkpoint into it, without fetching initial weights.

    Args:
        config: The config; see `model_settings`.
        checkpoint: Checkpoint of this model, or of the plain segmentor it wraps.
        device: Torch device.

    Returns:
        The model in evaluation mode.

    Raises:
        UserError: If the model cannot be built, or the checkpoint is missing, damaged, unsafe, or does not fit it.
    """
    init_default_scope('mmseg')
    try:
        model: BaseSegmentor = MODELS.build(model_settings(config))
    except Exception as error:  # anything that a part of a model may raise on its arguments
        reason = ' '.join(str(error).split())[:300]
        remedy = 'give the config that the checkpoint was trained with, or correct it'
        raise UserError('model', f'of the config does not build ({reason})', remedy) from error
    loaded = load_checkpoint_file(checkpoint)
    try:
        model.load_state_dict(loaded.get('state_dict', loaded))
    except RuntimeError as error:
        reason = ' '.join(str(error).split())[:300]
        raise UserError(
            checkpoint,
            f'does not fit the model of the config ({reason})',
            'give the config that the checkpoint was trained with',
        ) from error
    model.to(device).eval()
    return model


@torch.no_grad()
def predictions(model: BaseSegmentor, dataset: dict[str, Any], limit: int | None = None) -> Iterator[Prediction]:
    """Predict the images of a dataset one by one, spread evenly over it.

    Args:
        model: Any MMSegmentation segmentor with a data preprocessor.
        dataset: Config of the dataset, with a test pipeline.
        limit: Images to take at most.

    Yields:
        A prediction for each image.
    """
    built = DATASETS.build(dataset)
    for index in spread_indices(len(built), limit):
        item = built[index]
        sample = model.test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
        stored = item['inputs'][[2, 1, 0]] if item['inputs'].shape[0] == 3 else item['inputs']
        labels = sample.gt_sem_seg.data[0].cpu() if 'gt_sem_seg' in sample else None
        predicted = sample.pred_sem_seg.data[0].cpu()
        yield Prediction(Path(sample.img_path).name, stored.permute(1, 2, 0), labels, predicted)
