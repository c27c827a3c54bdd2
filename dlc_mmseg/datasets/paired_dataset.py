"""Pairs of a labelled source image and an unlabelled target image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from dlc_mmseg.datasets.browsable_pair import BrowsablePair
from dlc_mmseg.datasets.domain import build_domain, first_item
from dlc_mmseg.datasets.draw_randomness import Stream, draw_generator, isolated_randomness, shuffled_index
from dlc_mmseg.datasets.label_loading import drop_label_loading
from dlc_mmseg.datasets.loading_once import loading_once
from dlc_mmseg.datasets.nesting import leaf_datasets
from dlc_mmseg.datasets.paired_sampler import Draw
from dlc_mmseg.datasets.rare_class_sampling import RareClassSampler, RareClassSampling, RareDraw, sampling_settings
from dlc_mmseg.datasets.raster_packing import check_raster_pipeline
from dlc_mmseg.datasets.source_labels import (
    check_labels,
    check_labels_exist,
    class_count_table,
    count_sample,
    count_source,
)
from dlc_mmseg.errors import UserError

_SAMPLED_LABELS = 8


@DATASETS.register_module()
class PairedDomainDataset(Dataset[dict[str, Any]]):
    """Joins two mmseg datasets with equal classes; an item holds one image of each.

    Indices of `PairedDomainSampler` make an item a pure function of the run's seed and the draw's number,
    whichever process loads it: a resumed run sees the very same images and augmentations. Every pass over the
    target visits each image once; so does every pass over the source without rare class sampling.

    Plain integers work too, for MMEngine's samplers and for browsing: the index counts through the larger
    domain, the image of the other one and the augmentations come from the global generators, so that runs are
    reproducible for a seed, but not across a resume.

    Labels of the target are never loaded: `LoadAnnotations` is taken out of its pipeline, and nothing but the
    classes of its config is needed.

    Args:
        source: Config of the labelled dataset, or a built one. Its pipeline loads annotations.
        target: Config of the unlabelled dataset, or a built one (whose pipeline is then changed in place).
        rare_class_sampling: `RareClassSampling` or its arguments as a dict; None draws images evenly.

    Raises:
        UserError: If a config, folder, file or label does not fit, in one line that names it and the remedy.
    """

    def __init__(
        self,
        source: Mapping[str, Any] | Any,
        target: Mapping[str, Any] | Any,
        rare_class_sampling: RareClassSampling | Mapping[str, Any] | None = None,
    ) -> None:
        settings = sampling_settings(rare_class_sampling)
        self.source = build_domain(source, 'source')
        self.target = build_domain(target, 'target')
        self._check_classes()
        drop_label_loading(self.target)
        for dataset, domain in ((self.source, 'source'), (self.target, 'target')):
            for leaf in leaf_datasets(dataset):
                check_raster_pipeline(leaf.pipeline.transforms, f'{domain} pipeline')
        self._source_leaves = list(leaf_datasets(self.source))
        check_labels_exist(self.source)
        self.rare_classes = self._check_labels(settings)
        self._check_items()

    @property
    def metainfo(self) -> dict[str, Any]:
        """Classes, palette and the like of the source, as a copy."""
        return dict(self.source.metainfo)

    def full_init(self) -> None:
        """Nothing is left to do: both datasets are initialised on construction, to be checked."""

    def get_data_info(self, index: int) -> dict[str, dict[str, Any]]:
        """Entries of both datasets at an index; the smaller one starts over at its end.

        Args:
            index: At least 0.

        Returns:
            Entries under ``source`` and ``target``.
        """
        return {
            'source': dict(self.source.get_data_info(index % len(self.source))),
            'target': dict(self.target.get_data_info(index % len(self.target))),
        }

    def __len__(self) -> int:
        """Number of images of the larger domain."""
        return max(len(self.source), len(self.target))

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        """Load a pair.

        Args:
            index: `Draw` of a `PairedDomainSampler`, or an integer.

        Returns:
            ``source`` and ``target``, each with ``inputs`` (C, H, W) and ``data_samples``; only the source has labels.

        Raises:
            IndexError: If an integer is out of range.
        """
        if not isinstance(index, tuple):
            return BrowsablePair(self._load(*self._pair_of_index(int(index))))
        draw = Draw(*index)
        with isolated_randomness(draw.seed, draw.ordinal):
            return self._load(*self._pair_of_draw(draw))

    def _pair_of_draw(self, draw: Draw) -> tuple[RareDraw, int]:
        target = shuffled_index(draw.seed, draw.ordinal, Stream.TARGET_ORDER, len(self.target))
        if self.rare_classes is not None:
            return self.rare_classes.draw(draw_generator(draw.seed, draw.ordinal, Stream.PAIR)), target
        source = shuffled_index(draw.seed, draw.ordinal, Stream.SOURCE_ORDER, len(self.source))
        return RareDraw(source, 0, 0), target

    def _pair_of_index(self, index: int) -> tuple[RareDraw, int]:
        if not -len(self) <= index < len(self):
            raise IndexError(f'index {index} is out of range for {len(self)} pairs')
        index %= len(self)
        generator = np.random.default_rng(np.random.randint(0, 2**32, size=4, dtype=np.uint64))
        by_source = len(self.source) == len(self)
        target = int(generator.integers(len(self.target))) if by_source else index
        if self.rare_classes is not None:
            return self.rare_classes.draw(generator), target
        source = index if by_source else int(generator.integers(len(self.source)))
        return RareDraw(source, 0, 0), target

    def _load(self, draw: RareDraw, target: int) -> dict[str, Any]:
        return {'source': self._load_source(draw), 'target': _without_labels(self.target[target])}

    def _load_source(self, draw: RareDraw) -> Any:
        if self.rare_classes is None or not draw.wanted_pixels:
            return self.source[draw.image]
        with loading_once(self._source_leaves):
            return self._redrawn(draw, self.rare_classes.settings.max_redraws)

    def _redrawn(self, draw: RareDraw, max_redraws: int) -> Any:
        """The first run of the pipeline that holds as much of the class as wanted, or the one that holds most."""
        best = self.source[draw.image]
        most = _pixels(best, draw.label)
        for _ in range(max_redraws):
            if most >= draw.wanted_pixels:
                break
            item = self.source[draw.image]
            pixels = _pixels(item, draw.label)
            if pixels > most:
                best, most = item, pixels
        return best

    def _check_classes(self) -> None:
        source, target = (list(dataset.metainfo['classes']) for dataset in (self.source, self.target))
        if source != target:
            raise UserError(
                None,
                f'classes differ, source has {source}, target has {target}',
                'give both datasets the same metainfo.classes',
            )

    def _check_labels(self, settings: RareClassSampling | None) -> RareClassSampler | None:
        classes = list(self.source.metainfo['classes'])
        if settings is None:
            tiles = count_sample(self.source, _SAMPLED_LABELS)
        else:
            tiles = count_source(self.source, settings.statistics)
        check_labels(tiles, len(classes), int(getattr(self._source_leaves[0], 'ignore_index', 255)))
        if settings is None:
            return None
        return RareClassSampler(class_count_table(tiles, len(classes)), classes, settings)

    def _check_items(self) -> None:
        source, target = first_item(self.source, 'source'), first_item(self.target, 'target')
        if 'gt_sem_seg' not in source['data_samples']:
            raise UserError(None, 'source pipeline loads no labels', 'add dict(type="LoadAnnotations") to it')
        channels = source['inputs'].shape[0], target['inputs'].shape[0]
        if channels[0] != channels[1]:
            raise UserError(
                None,
                f'source images have {channels[0]} channels, target images {channels[1]}',
                'let both pipelines end in one number',
            )


def _pixels(item: Mapping[str, Any], label: int) -> int:
    return int((item['data_samples'].gt_sem_seg.data == label).sum())


def _without_labels(item: dict[str, Any]) -> dict[str, Any]:
    sample = item['data_samples']
    for name in [name for name in sample.keys() if name.startswith('gt_')]:  # noqa: SIM118, no plain mapping
        delattr(sample, name)
    return item
