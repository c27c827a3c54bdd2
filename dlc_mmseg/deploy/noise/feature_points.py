"""Pixels drawn evenly over many images, with the features and the labels that a network gives them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from dlc_mmseg.functional.window_canvas import WindowCanvas
from dlc_mmseg.functional.windows import Box, sliding_windows
from dlc_mmseg.models.backbone_outputs import level_of, recorded_features
from dlc_mmseg.models.segmentors.sliding import slide_settings, window_logits
from dlc_mmseg.models.stored_labels import label_map


class FeaturePoints(NamedTuple):
    """Points in the order of their keys; those with the smallest keys of all are a uniform draw without replacement.

    Attributes:
        keys: Shape (N,), float64, uniform in [0, 1).
        features: Shape (N, D), float32.
        places: Shape (N, 2), int64: row and column in the network's input; (N, 2) labels, predicted and true, once
            `labelled`.
    """

    keys: Tensor
    features: Tensor
    places: Tensor


def smallest(parts: list[FeaturePoints], number: int) -> FeaturePoints:
    """The points with the smallest keys of several draws, at most ``number``."""
    keys = torch.cat([part.keys for part in parts])
    order = keys.argsort(stable=True)[:number]
    features = torch.cat([part.features for part in parts])[order]
    return FeaturePoints(keys[order], features, torch.cat([part.places for part in parts])[order])


def segment_with_points(
    network: EncoderDecoder,
    inputs: Tensor,
    sample: SegDataSample,
    *,
    feature_level: int | None,
    num_points: int,
    generator: torch.Generator,
) -> tuple[SegDataSample, FeaturePoints]:
    """Segment an image as the network's ``test_cfg`` says and draw points from its backbone's features.

    Every cell of the feature map may be drawn once; where windows overlap, by the first one only, because the same
    place twice would be its own nearest neighbour. Padding and pixels without data are left out.

    Args:
        network: The segmentor, in evaluation mode.
        inputs: Normalised image, shape (1, C, H, W).
        sample: Its data sample.
        feature_level: Which of the backbone's outputs, 0 is the shallowest; None takes 1, or the only one.
        num_points: Points to return at most.
        generator: CPU source of the keys.

    Returns:
        The sample with its prediction, and the points (see `labelled`).

    Raises:
        UserError: If there is no such level.
    """
    size = (inputs.shape[2], inputs.shape[3])
    free = torch.zeros(size, dtype=torch.bool)
    content = _content(size, sample)
    free[content.slices] = True
    if 'nodata_map' in sample:
        nodata = sample.get('nodata_map').get('data')[0].cpu()
        free[: nodata.shape[0], : nodata.shape[1]] &= ~nodata
    canvas = WindowCanvas(1, network.out_channels, size, dtype=inputs.dtype, device=inputs.device)
    points: list[FeaturePoints] = []
    for box in _windows(network, size):
        rows, columns = box.slices
        with recorded_features(network) as passes:
            for _, logits in window_logits(network, [(box, inputs[:, :, rows, columns])], [sample.metainfo]):
                canvas.add(logits, box)
        points = [
            smallest([*points, _draw(_level(passes[0].features, feature_level), box, free, generator)], num_points)
        ]
        free[rows, columns] = False
    network.postprocess_result(canvas.take(size[0]), [sample])
    return sample, labelled(points[0], sample, content)


def labelled(points: FeaturePoints, sample: SegDataSample, content: Box) -> FeaturePoints:
    """Replace places by the labels there.

    Args:
        points: Points with rows and columns of the network's input.
        sample: The image's prediction and, where known, true labels, both at the original size.
        content: Part of the network's input that shows the image; the rest is padding.

    Returns:
        The points with ``places`` (N, 2): predicted label, true label (255 where unknown).
    """
    predicted = label_map(sample, 'pred_sem_seg')
    true = label_map(sample, 'gt_sem_seg') if 'gt_sem_seg' in sample else torch.full_like(predicted, 255)
    offset = torch.tensor([content.top, content.left])
    shown, original = torch.tensor([content.height, content.width]), torch.tensor(predicted.shape)
    rows, columns = ((points.places - offset + 0.5) * original / shown).long().unbind(dim=1)
    return points._replace(places=torch.stack([predicted[rows, columns], true[rows, columns]], dim=1))


def _windows(network: EncoderDecoder, size: tuple[int, int]) -> list[Box]:
    config = dict(network.test_cfg or {})
    if config.get('mode', 'whole') == 'whole':
        return [Box(0, 0, *size)]
    settings = slide_settings(config)
    return sliding_windows(size, settings.crop_size, settings.stride)


def _level(outputs: tuple[Tensor, ...], level: int | None) -> Tensor:
    return level_of(outputs, min(1, len(outputs) - 1) if level is None else level)


def _content(size: tuple[int, int], sample: SegDataSample) -> Box:
    """Part of the network's input that is not padding."""
    padding = sample.metainfo.get('img_padding_size', sample.metainfo.get('padding_size', (0, 0, 0, 0)))
    left, right, top, bottom = padding
    return Box(top, left, size[0] - bottom, size[1] - right)


def _draw(features: Tensor, box: Box, free: Tensor, generator: torch.Generator) -> FeaturePoints:
    """All cells of a window whose centre is free, with a random key each."""
    _, depth, height, width = features.shape
    rows = ((torch.arange(height) + 0.5) * box.height / height).long() + box.top
    columns = ((torch.arange(width) + 0.5) * box.width / width).long() + box.left
    cells = free[rows][:, columns].flatten().nonzero().squeeze(1)
    keys = torch.rand(len(cells), dtype=torch.float64, generator=generator)
    flat = features[0].permute(1, 2, 0).reshape(-1, depth)[cells.to(features.device)]
    places = torch.stack([rows[cells // width], columns[cells % width]], dim=1)
    return FeaturePoints(keys, flat.float().cpu(), places)
