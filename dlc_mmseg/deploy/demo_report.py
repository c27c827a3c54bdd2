"""What `make demo` leaves behind: one table, predictions beside labels, T beside the true confusion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from dlc_mmseg.deploy.noise.predicting import load_model, predictions
from dlc_mmseg.engine.matrix_pictures import Confusion, draw_matrices
from dlc_mmseg.engine.panels import Panel, draw_panels
from dlc_mmseg.engine.pictures import colour_labels, displayable
from dlc_mmseg.engine.true_confusion import count_confusion
from dlc_mmseg.functional.confusion import precision_matrix, transition_error, true_transition
from dlc_mmseg.models.segmentors.dlc import DLCSegmentor


class Row(NamedTuple):
    """Figures of one variant on labelled target tiles, in percent.

    Attributes:
        name: The variant.
        miou: Mean intersection over union after the last iteration.
        mean_f1: Mean F1 score after the last iteration.
        overall_accuracy: Share of correct pixels after the last iteration.
        best_miou: Largest mean intersection over union of any validation, chosen on the same labels.
    """

    name: str
    miou: float
    mean_f1: float
    overall_accuracy: float
    best_miou: float


def format_table(rows: Sequence[Row]) -> str:
    """Rows as a Markdown table."""
    lines = ['| variant | mIoU | mean F1 | OA | best mIoU |', '|---|---|---|---|---|']
    for row in rows:
        figures = ' | '.join(f'{value:.2f}' for value in row[1:])
        lines.append(f'| {row.name} | {figures} |')
    return '\n'.join(lines)


def draw_predictions(config_file: Path, checkpoint: Path, out_file: Path, *, title: str, count: int = 4) -> None:
    """Draw image, label and prediction side by side for some validation tiles.

    Args:
        config_file: Config of the model; its validation set is predicted.
        checkpoint: Checkpoint of the model.
        out_file: The picture (PNG).
        title: Name of the prediction panel.
        count: Tiles, spread over the validation set.
    """
    config = _config(config_file)
    model = load_model(config, checkpoint)
    classes, palette = _classes(config)
    rows = []
    for prediction in predictions(model, config.val_dataloader.dataset, count):
        assert prediction.labels is not None
        panels = [
            Panel(prediction.name, displayable(prediction.image.numpy())),
            Panel('label', colour_labels(prediction.labels.numpy(), palette)),
            Panel(title, colour_labels(prediction.predicted.numpy(), palette)),
        ]
        rows.append(panels)
    Image.fromarray(draw_panels(rows, list(zip(classes, palette, strict=True)))).save(out_file)


def draw_confusions(config_file: Path, checkpoint: Path, out_file: Path) -> None:
    """Draw the learnt T beside the true confusion of the teacher's pseudo-labels on the target's training tiles.

    Args:
        config_file: Config of a DLC model whose target training tiles have labels (as the demo's do).
        checkpoint: Its checkpoint.
        out_file: The picture (PNG).
    """
    config = _config(config_file)
    config.model.predict_with = 'teacher'
    model = load_model(config, checkpoint)
    assert isinstance(model, DLCSegmentor)
    training = config.train_dataloader.dataset.target
    prefix = {**training.data_prefix, 'seg_map_path': 'ann_dir/train'}
    labelled = {**config.val_dataloader.dataset, 'data_prefix': prefix}
    classes, _ = _classes(config)
    dataset = DATASETS.build(labelled)
    counts = count_confusion(dataset, range(len(dataset)), model.test_step, len(classes))
    true, learnt = true_transition(counts), model.transition()
    error = float(transition_error(learnt, true))
    precision = precision_matrix(model.transition.prior.unsqueeze(1) * learnt)
    matrices = [
        Confusion(f'learnt T (mean error {error:.3f})', learnt.numpy(), precision.numpy()),
        Confusion('true confusion', true.numpy(), precision_matrix(counts).numpy()),
    ]
    Image.fromarray(draw_matrices(matrices, classes)).save(out_file)


def _config(config_file: Path) -> Config:
    init_default_scope('mmseg')
    return Config.fromfile(config_file)


def _classes(config: Config) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
    """Names and RGB colours of the classes."""
    meta = DATASETS.build(config.val_dataloader.dataset).metainfo
    return meta['classes'], meta['palette']
