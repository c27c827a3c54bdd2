"""The tiles that runs segment best and worst, with what each run makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.registry import init_default_scope
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.deploy.noise.predicting import load_model
from dlc_mmseg.deploy.report.work_dirs import Run
from dlc_mmseg.engine.panels import Panel, draw_panels
from dlc_mmseg.engine.picture_sheet import Image
from dlc_mmseg.engine.pictures import colour_labels, loaded_image
from dlc_mmseg.errors import UserError
from dlc_mmseg.functional.spread import spread_indices
from dlc_mmseg.models.stored_labels import label_map
from dlc_mmseg.models.stored_scores import probabilities, stored_scores

Progress = Callable[[Iterable[int], str, int], Iterable[int]]
"""Passes items on and shows how many of a total are done."""


class TileScores(NamedTuple):
    """Scores of a run's tiles.

    Attributes:
        labelled: Whether scores are shares of pixels predicted right; else they are mean confidences.
        scores: Score of each tile by its place in the dataset; NaN where nothing is known of it.
        paths: Image file of each tile, likewise.
    """

    labelled: bool
    scores: dict[int, float]
    paths: dict[int, str]


class Segmenting:
    """A run's model on its target images.

    Args:
        run: The run, with config and checkpoint.
        device: Torch device.

    Raises:
        UserError: If config, checkpoint or data are missing or do not fit.
    """

    def __init__(self, run: Run, device: str) -> None:
        if run.checkpoint is None:
            raise UserError(run.folder, 'holds no checkpoint', 'keep the last one of the run')
        config = run.read_config()
        loader = config.get('val_dataloader') or config.get('test_dataloader')
        if not loader:
            raise UserError(run.config_file, 'names no images to predict', 'set test_dataloader in the config')
        init_default_scope('mmseg')
        try:
            self.dataset: Any = DATASETS.build(loader.dataset)
            if not len(self.dataset):
                raise FileNotFoundError('no images')
        except (AssertionError, OSError, ValueError) as error:
            reason = ' '.join(str(error).split())
            remedy = 'run the report in the folder that the training ran in'
            raise UserError(run.config_file, f'its images cannot be found ({reason})', remedy) from error
        self.model: BaseSegmentor = load_model(config, run.checkpoint, device)
        self.classes: Sequence[str] = self.dataset.metainfo['classes']
        self.palette: Sequence[Sequence[int]] = self.dataset.metainfo['palette']

    @torch.no_grad()
    def predict(self, index: int) -> tuple[Tensor, SegDataSample]:
        """An image as the pipeline delivers it, and its predicted sample.

        Args:
            index: Place in the dataset.
        """
        item = self.dataset[index]
        return item['inputs'], self.model.test_step({
            'inputs': [item['inputs']], 'data_samples': [item['data_samples']],
        })[0]  # fmt: skip

    def score(self, limit: int, progress: Progress) -> TileScores:
        """Score tiles that are evenly spread over the dataset.

        Args:
            limit: Tiles at most.
            progress: Shows how far it is.
        """
        kind, labelled = stored_scores(self.model), False
        scores, paths = {}, {}
        indices = spread_indices(len(self.dataset), limit)
        for index in progress(indices, 'predicting', len(indices)):
            _, sample = self.predict(index)
            paths[index] = str(sample.metainfo.get('img_path', index))
            if 'gt_sem_seg' in sample:
                labelled = True
                scores[index] = share_right(sample)
            elif 'seg_logits' in sample:
                scores[index] = float(probabilities(sample.get('seg_logits').get('data'), kind).amax(dim=0).mean())
        return TileScores(labelled, scores, paths)


def share_right(sample: SegDataSample) -> float:
    """Share of the labelled pixels that are predicted right; NaN without such pixels."""
    labels, predicted = label_map(sample, 'gt_sem_seg'), label_map(sample, 'pred_sem_seg')
    return float((labels == predicted)[labels != 255].float().mean())


def choose(scores: dict[int, float]) -> dict[str, int]:
    """Places of the best, the median and the worst tile; fewer where there are fewer.

    Args:
        scores: Score of each tile.
    """
    known = sorted((score, index) for index, score in scores.items() if score == score)
    places = {'best': len(known) - 1, 'median': len(known) // 2, 'worst': 0}
    chosen: dict[str, int] = {}
    for name, place in places.items():
        if known and known[place][1] not in chosen.values():
            chosen[name] = known[place][1]
    return chosen


def draw_tiles(segmenting: Sequence[tuple[str, Segmenting]], chosen: dict[str, int], *, labelled: bool) -> Image:
    """Image, label where known, and every run's prediction of some tiles.

    Args:
        segmenting: Runs by name, all on the same images.
        chosen: Places of the tiles by what they are.
        labelled: Whether there are labels.

    Returns:
        RGB image.
    """
    first = segmenting[0][1]
    rows: list[list[Panel]] = []
    for what, index in chosen.items():
        row: list[Panel] = []
        for name, run in segmenting:
            image, sample = run.predict(index)
            if not row:
                file = Path(str(sample.metainfo.get('img_path', index))).name
                row.append(Panel(f'{what}: {file}', loaded_image(image)))
                if labelled:
                    row.append(Panel('label', colour_labels(label_map(sample, 'gt_sem_seg').numpy(), run.palette)))
            right = f', {share_right(sample):.0%} right' if labelled else ''
            predicted = colour_labels(label_map(sample, 'pred_sem_seg').numpy(), run.palette)
            row.append(Panel(f'{name}{right}', predicted))
        rows.append(row)
    return draw_panels(rows, list(zip(first.classes, first.palette, strict=True)))
