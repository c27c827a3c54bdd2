"""What the pipelines make of the files: channels, types, sizes, labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmcv.transforms import LoadAnnotations

from dlc_mmseg.checks.config_types import type_name
from dlc_mmseg.checks.domain_files import Domain, Tile
from dlc_mmseg.checks.image_headers import Header
from dlc_mmseg.checks.report import Report
from dlc_mmseg.datasets.class_statistics import count_tile
from dlc_mmseg.datasets.domain import first_item
from dlc_mmseg.datasets.label_codes import IGNORED, holds_colours
from dlc_mmseg.datasets.label_encoding import class_of_value
from dlc_mmseg.errors import UserError

_RESIZING = ('Resize', 'Pad', 'Albu', 'Rotate')


@dataclass
class Outputs:
    """What the pipeline of a domain gives.

    Attributes:
        channels: Number of channels.
        dtype: Type of the values.
        largest: Largest value seen.
        bright: Value of each channel that 1 % of its pixels with data exceed, in the brightest tile seen.
        dark: Value of each channel that 1 % fall short of, in the darkest.
        sizes: Heights and widths seen.
    """

    channels: int = 0
    dtype: str = ''
    largest: float = 0.0
    bright: list[float] = field(default_factory=list)
    dark: list[float] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)


def check_pipeline(domain: Domain, headers: dict[str, Header], report: Report) -> Outputs | None:
    """Run a pipeline on its smallest, its largest and its first tile.

    Args:
        domain: A dataset with tiles that read.
        headers: Headers of its files.
        report: Receives steps that are missing, contradict the dataset or fail.

    Returns:
        What comes out; None if nothing does.
    """
    reduced = bool(getattr(domain.dataset, 'reduce_zero_label', False))
    for step in domain.dataset.pipeline.transforms:
        wanted = getattr(step, 'reduce_zero_label', None) if isinstance(step, LoadAnnotations) else None
        if wanted is not None and bool(wanted) != reduced:
            what = f'LoadAnnotations has reduce_zero_label={wanted}, the dataset {reduced}'
            remedy = f'leave it out of LoadAnnotations and set it in {domain.name}'
            report.error(f'{domain.name}.pipeline', what, remedy)
            return None
    return _run(domain, headers, report)


def _run(domain: Domain, headers: dict[str, Header], report: Report) -> Outputs | None:
    outputs = Outputs()
    for tile in _extremes(domain.tiles, headers):
        try:
            item = first_item(_Single(domain.dataset, tile.index), domain.role)
        except UserError as error:
            report.error(error.where or f'{domain.name}.pipeline', error.what, error.remedy)
            return None
        if domain.labelled and 'gt_sem_seg' not in item['data_samples']:
            remedy = "add dict(type='LoadAnnotations') after LoadImageFromFile"
            report.error(f'{domain.name}.pipeline', 'loads no labels', remedy)
            return None
        if domain.labelled and not _check_loaded_labels(domain, tile, item, report):
            return None
        image = item['inputs']
        outputs.channels, outputs.dtype = int(image.shape[0]), str(image.dtype).removeprefix('torch.')
        outputs.largest = max(outputs.largest, float(image.float().max()))
        _add_range(outputs, item)
        outputs.sizes.add((int(image.shape[-2]), int(image.shape[-1])))
    return outputs if outputs.sizes else None


def _check_loaded_labels(domain: Domain, tile: Tile, item: Mapping[str, Any], report: Report) -> bool:
    """Labels as the pipeline gives them, where those in the file are classes: other decoders give other values."""
    number, labels = len(domain.classes), item['data_samples'].gt_sem_seg.data
    allowed = {*range(number), int(getattr(domain.dataset, 'ignore_index', IGNORED)), IGNORED}
    loaded = sorted(set(labels.unique().tolist()) - allowed)
    flat = labels.dim() == 3 and len(labels) == 1
    if not number or (flat and not loaded):
        return True
    try:
        stored = count_tile(str(tile.label), colours=holds_colours(tile.info)).counts
    except UserError:
        return True  # for the check of label files to report
    reduced, label_map = bool(tile.info.get('reduce_zero_label')), tile.info.get('label_map')
    if {class_of_value(value, reduce_zero_label=reduced, label_map=label_map) for value in stored} - allowed:
        return True  # likewise
    given = f'values {", ".join(map(str, loaded[:8]))}' if flat else f'shape {tuple(labels.shape)}'
    what = f'gives labels of {given}, the file holds one channel with {", ".join(map(str, sorted(stored)[:8]))}'
    remedy = "let LoadAnnotations decode with imdecode_backend='pillow', which keeps the indices of palette images"
    report.error(f'{domain.name}.pipeline', f'{what} ({tile.label})', remedy)
    return False


def _add_range(outputs: Outputs, item: Any) -> None:
    """Widen the usual range of values of each channel to that of a tile."""
    values, sample = item['inputs'].flatten(1).numpy(), item['data_samples']
    known = np.isfinite(values).all(axis=0)
    if 'nodata_map' in sample:
        known &= ~sample.get('nodata_map').get('data').flatten().numpy()
    values = values[:, known]
    if known.any() and (not outputs.bright or len(outputs.bright) == len(values)):
        dark, bright = np.percentile(values, (1, 99), axis=1)
        outputs.dark = np.minimum(dark, outputs.dark or dark).tolist()
        outputs.bright = np.maximum(bright, outputs.bright or bright).tolist()


class _Single:
    """A dataset of one tile, for `first_item`."""

    def __init__(self, dataset: Any, index: int) -> None:
        self.dataset, self.index = dataset, index

    def __getitem__(self, _: int) -> Any:
        return self.dataset[self.index]

    def get_data_info(self, _: int) -> Any:
        return self.dataset.get_data_info(self.index)


def _extremes(tiles: Sequence[Tile], headers: dict[str, Header]) -> list[Tile]:
    """The first tile, and those with least and most pixels or the longest side."""
    sized = [tile for tile in tiles if tile.image in headers and headers[tile.image].size]
    sizes = {tile.index: headers[tile.image].size or (0, 0) for tile in sized}
    chosen = list(tiles[:1])
    for side in (0, 1):
        ordered = sorted(sized, key=lambda tile, side=side: sizes[tile.index][side])  # type: ignore[misc]
        chosen += [*ordered[:1], *ordered[-1:]]
    return list({tile.index: tile for tile in chosen}.values())


def check_training_sizes(
    domains: Sequence[Domain], outputs: Mapping[str, Outputs], padding: Any, headers: dict[str, Header], report: Report
) -> None:
    """Find tiles from which no batch of one size can be made.

    Args:
        domains: Datasets of source and target.
        outputs: What their pipelines give, by name.
        padding: ``data_preprocessor.size``, height and width that smaller images are padded to.
        headers: Headers of all files.
        report: Receives crops larger than tiles, and sizes that differ.
    """
    if padding is None:
        small = [domain for domain in domains if _check_crop(domain, headers, report)]
        if small:
            return
    sizes: dict[tuple[int, int], str] = {}
    for domain in domains:
        for height, width in sorted(outputs[domain.name].sizes) if domain.name in outputs else []:
            padded = (max(height, padding[0]), max(width, padding[1])) if padding else (height, width)
            sizes.setdefault(padded, domain.name)
    if len(sizes) > 1:
        (first, second), names = sorted(sizes)[:2], list(sizes.values())
        report.error(
            f'{names[-1]}.pipeline',
            f'gives images of {first[0]} x {first[1]} and {second[0]} x {second[1]} pixels, which make no batch',
            'end both pipelines with one RandomCrop, and set model.data_preprocessor.size to its crop_size',
        )


def _check_crop(domain: Domain, headers: dict[str, Header], report: Report) -> bool:
    for index, step in enumerate(domain.config.get('pipeline') or []):
        kind = type_name(step)
        if any(name in kind for name in _RESIZING):
            return False
        if kind.endswith('RandomCrop'):
            crop = step['crop_size']
            crop = (crop, crop) if isinstance(crop, int) else tuple(crop)
            small = [tile.image for tile in domain.tiles if _is_smaller(headers.get(tile.image), crop)]
            if small:
                report.error(
                    f'{domain.name}.pipeline.{index}.crop_size',
                    f'{crop} is larger than {len(small)} of {len(domain.tiles)} {domain.role} images ({small[0]})',
                    'set model.data_preprocessor.size to it, which pads, or choose a smaller crop',
                )
            return bool(small)
    return False


def _is_smaller(header: Header | None, crop: tuple[int, ...]) -> bool:
    return header is not None and header.size is not None and any(a < b for a, b in zip(header.size, crop, strict=True))
