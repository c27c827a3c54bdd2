"""Redraws of rare class sampling load a tile once, and give the very items of loading it every time."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from tiny_domains import dataset_config, write_domain

from dlc_mmseg.datasets import PairedDomainDataset, paired_dataset
from dlc_mmseg.datasets.loading_once import loading_once
from dlc_mmseg.datasets.paired_sampler import Draw

TILES: list[dict[int, int]] = [{1: 60}, {1: 100}, {1: 30, 2: 20}, {0: 256}]
RARE = {'min_pixels': 5, 'min_crop_ratio': 8.0, 'max_redraws': 6}


def make_pairs(root: Path, source: dict[str, Any] | None = None) -> PairedDomainDataset:
    labelled = dataset_config(write_domain(root / 'source', TILES), augment=True)
    if source is not None:
        labelled = {**source, 'datasets': [labelled, labelled]}
    target = dataset_config(write_domain(root / 'target', 3), labelled=False, augment=True)
    return PairedDomainDataset(labelled, target, RARE)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the images that are decoded."""
    paths: list[str] = []
    transform = LoadImageFromFile.transform

    def count(self: LoadImageFromFile, results: dict[str, Any]) -> Any:
        paths.append(results['img_path'])
        return transform(self, results)

    monkeypatch.setattr(LoadImageFromFile, 'transform', count)
    return paths


def items(pairs: PairedDomainDataset, number: int) -> list[Any]:
    found = []
    for ordinal in range(number):
        item = pairs[Draw(3, ordinal)]['source']
        sample = item['data_samples']
        found.append((item['inputs'].numpy(), sample.gt_sem_seg.data.numpy(), sample.metainfo))
    return found


@pytest.mark.parametrize('wrapped', [False, True])
def test_items_are_the_same_bit_by_bit_and_tiles_are_decoded_once(
    tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch, wrapped: bool
) -> None:
    pairs = make_pairs(tmp_path, {'type': 'ConcatDataset'} if wrapped else None)
    decoded.clear()
    once = items(pairs, 12)
    assert len(decoded) == 24  # a source and a target tile each
    monkeypatch.setattr(paired_dataset, 'loading_once', lambda _: nullcontext())
    decoded.clear()
    again = items(pairs, 12)
    assert len(decoded) > 60
    for first, second in zip(once, again, strict=True):
        assert np.array_equal(first[0], second[0])
        assert np.array_equal(first[1], second[1])
        assert first[2] == second[2]


def test_pipelines_are_what_they_were_also_after_an_error(tmp_path: Path) -> None:
    pairs = make_pairs(tmp_path)
    before = pairs.source.pipeline.transforms

    def fail() -> None:
        with loading_once([pairs.source]):
            assert len(pairs.source.pipeline.transforms) == len(before) - 1  # two loading steps have become one
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert pairs.source.pipeline.transforms is before


def test_a_step_of_ones_own_is_run_each_time(tmp_path: Path) -> None:
    class Noisy(LoadImageFromFile):
        def transform(self, results: dict[str, Any]) -> Any:
            results = super().transform(results)
            results['img'] = results['img'] + np.random.randint(9)
            return results

    pairs = make_pairs(tmp_path)
    steps = pairs.source.pipeline.transforms
    pairs.source.pipeline.transforms = [Noisy(), *steps[1:]]
    with loading_once([pairs.source]):
        assert type(pairs.source.pipeline.transforms[0]) is Noisy
