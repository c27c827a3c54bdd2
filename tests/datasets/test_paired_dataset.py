from __future__ import annotations

import pickle
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import InfiniteSampler, pseudo_collate, worker_init_fn
from mmseg.registry import DATASETS
from tiny_domains import CLASSES, LABELS, LOAD, PACK, dataset_config, global_states, shade, write_domain
from torch.utils.data import DataLoader

from dlc_mmseg.datasets import Draw, PairedDomainDataset, PairedDomainSampler, RareClassSampling
from dlc_mmseg.datasets.paired_dataset import _pixels

RARE = {'temperature': 0.05, 'min_pixels': 8, 'min_crop_ratio': 1.0}


def _pair(
    source: Path, target: Path, rare: Any = None, augment: bool = False, serialize: bool = False
) -> PairedDomainDataset:
    return DATASETS.build(
        {
            'type': 'PairedDomainDataset',
            'source': dataset_config(source, augment=augment, serialize_data=serialize),
            'target': dataset_config(target, labelled=False, augment=augment, serialize_data=serialize),
            'rare_class_sampling': rare,
        }
    )


def _print(item: dict[str, Any]) -> tuple[Any, ...]:
    """Comparable content of an item."""
    samples = [item[domain]['data_samples'] for domain in ('source', 'target')]
    return (
        *(item[domain]['inputs'].tolist() for domain in ('source', 'target')),
        samples[0].gt_sem_seg.data.tolist(),
        *(sorted((key, str(value)) for key, value in sample.metainfo_items()) for sample in samples),
    )


def _prints(batch: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The items of a collated batch."""
    halves = [
        [{'inputs': x, 'data_samples': y} for x, y in zip(half['inputs'], half['data_samples'], strict=True)]
        for half in (batch['source'], batch['target'])
    ]
    return [_print({'source': source, 'target': target}) for source, target in zip(*halves, strict=True)]


def test_item_holds_a_labelled_and_an_unlabelled_image(source: Path, target: Path) -> None:
    item = _pair(source, target)[0]
    assert item.keys() == {'source', 'target'}
    assert item['source']['inputs'].shape == item['target']['inputs'].shape == (3, 16, 16)
    assert item['source']['data_samples'].gt_sem_seg.shape == (16, 16)
    assert item['target']['data_samples'].keys() == []


def test_labels_of_the_target_are_not_loaded_even_where_they_exist(tmp_path: Path, source: Path) -> None:
    target = write_domain(tmp_path / 'labelled', [{1: 3}, {2: 4}])
    (target / 'lbl' / 't01.png').write_bytes(b'broken')
    dataset = PairedDomainDataset(dataset_config(source), dataset_config(target))
    assert all(dataset[index]['target']['data_samples'].keys() == [] for index in range(len(dataset)))


def test_labels_of_the_target_that_a_nested_step_loads_are_dropped(tmp_path: Path, source: Path) -> None:
    target = write_domain(tmp_path / 'labelled', [{1: 3}])
    nested = [LOAD, {'type': 'RandomApply', 'prob': 1.0, 'transforms': [LABELS]}, PACK]
    dataset = PairedDomainDataset(dataset_config(source), dataset_config(target, pipeline=nested))
    assert 'gt_sem_seg' in dataset.target[0]['data_samples']
    assert dataset[0]['target']['data_samples'].keys() == []


def test_target_may_ask_for_labels_it_does_not_have(source: Path, target: Path, messages: list[str]) -> None:
    config = dataset_config(target, labelled=False, pipeline=[LOAD, LABELS, PACK])
    assert PairedDomainDataset(dataset_config(source), config)[0]['target']['data_samples'].keys() == []
    assert [text for text in messages if 'LoadAnnotations' in text] == messages


def test_interface_that_the_runner_expects(source: Path, target: Path) -> None:
    dataset = _pair(source, target)
    assert len(dataset) == 4
    assert list(dataset.metainfo['classes']) == list(CLASSES)
    assert dataset.get_data_info(3)['target']['img_path'].endswith('t00.png')
    dataset.metainfo['classes'] = ()
    dataset.full_init()
    assert list(dataset.metainfo['classes']) == list(CLASSES)
    with pytest.raises(IndexError):
        dataset[4]
    assert shade(dataset[-1]['source']) == 3


def test_integers_count_through_the_larger_domain(tmp_path: Path, source: Path, target: Path) -> None:
    assert [shade(item['source']) for item in _pair(source, target)] == [0, 1, 2, 3]
    large = write_domain(tmp_path / 'large', 6)
    assert [shade(item['target']) for item in _pair(source, large, RARE)] == [0, 1, 2, 3, 4, 5]


def test_draws_visit_every_image_once_per_pass(source: Path, target: Path) -> None:
    dataset = _pair(source, target)
    items = [dataset[draw] for draw in islice(PairedDomainSampler(dataset, seed=3), 24)]
    for domain, size in (('source', 4), ('target', 3)):
        seen = [shade(item[domain]) for item in items]
        assert all(len(set(seen[start : start + size])) == size for start in range(0, 24, size))


def test_pairs_change_from_pass_to_pass_also_between_domains_of_one_size(tmp_path: Path, source: Path) -> None:
    dataset = _pair(source, write_domain(tmp_path / 'same size', 4))
    items = [dataset[Draw(3, ordinal)] for ordinal in range(24)]
    assert len({(shade(item['source']), shade(item['target'])) for item in items}) > 8


@pytest.mark.parametrize('rare', [None, RARE])
def test_a_draw_depends_on_seed_and_ordinal_only(source: Path, target: Path, rare: Any) -> None:
    dataset = _pair(source, target, rare, augment=True)
    items = [_print(dataset[Draw(1, ordinal)]) for ordinal in range(12)]
    np.random.seed(99)
    torch.manual_seed(99)
    before = global_states()
    again = [_print(pickle.loads(pickle.dumps(dataset))[1, ordinal]) for ordinal in reversed(range(12))]
    assert again[::-1] == items
    assert global_states() == before
    other = [_print(dataset[Draw(2, ordinal)]) for ordinal in range(12)]
    assert sum(a == b for a, b in zip(items, other, strict=True)) == 0
    assert len({str(item) for item in items}) == 12


def test_workers_do_not_change_the_draws(source: Path, target: Path) -> None:
    dataset = _pair(source, target, RARE, augment=True, serialize=True)
    runs = []
    for workers, skipped in ((0, 0), (2, 0), (2, 4)):
        sampler = PairedDomainSampler(dataset, seed=7)
        sampler.skip(skipped)
        loader = DataLoader(
            dataset, 2, sampler=sampler, num_workers=workers, persistent_workers=workers > 0, collate_fn=pseudo_collate
        )
        iterator = iter(loader)
        runs.append([_prints(next(iterator)) for _ in range(5 - skipped // 2)])
        del iterator
    assert runs[1] == runs[0]
    assert runs[2] == runs[0][2:]


def test_mmengine_samplers_are_reproducible_for_a_seed(source: Path, target: Path) -> None:
    dataset = _pair(source, target, RARE, augment=True)

    def run(seed: int) -> list[Any]:
        worker_init_fn(0, 1, 0, seed)  # what the Runner does in every worker
        return [_print(dataset[index]) for index in islice(InfiniteSampler(dataset, seed=seed), 8)]

    assert run(0) == run(0)
    assert run(0) != run(1)


def test_rare_class_draws_follow_the_probabilities(source: Path, target: Path) -> None:
    dataset = _pair(source, target, {'temperature': 0.4, 'min_pixels': 8, 'min_crop_ratio': 0.0})
    pixels = np.array([256 * 4 - 210, 190, 20])
    weights = np.exp((1 - pixels / pixels.sum()) / 0.4)
    images = [[0, 1, 2, 3], [0, 1, 2], [2]]
    expected = np.zeros(4)
    for weight, holders in zip(weights / weights.sum(), images, strict=True):
        expected[holders] += weight / len(holders)
    seen = Counter(dataset._pair_of_draw(Draw(0, ordinal))[0].image for ordinal in range(4000))
    np.testing.assert_allclose([seen[image] / 4000 for image in range(4)], expected, atol=0.03)


def test_crops_are_redrawn_until_they_hold_enough(source: Path, target: Path) -> None:
    # class 2 fills a little over one row (20 pixels from row 1, column 14 on): an 8 x 8 crop holds 0..10 of them
    def least(settings: dict[str, Any]) -> tuple[int, float]:
        dataset = _pair(source, target, {'temperature': 0.001, 'min_pixels': 3, **settings}, augment=True)
        held = [_pixels(dataset[Draw(0, ordinal)]['source'], 2) for ordinal in range(60)]
        return min(held), float(np.mean(held))

    assert least({'min_crop_ratio': 1.0, 'max_redraws': 200})[0] >= 4
    assert least({'min_crop_ratio': 0.0})[0] == 0
    redrawn, single = (least({'min_crop_ratio': 6.0, 'max_redraws': number})[1] for number in (10, 0))
    assert redrawn > 1.5 * single


def test_redraws_stop_where_nothing_can_be_gained(source: Path, target: Path) -> None:
    dataset = _pair(source, target, {'temperature': 0.001, 'min_pixels': 19, 'min_crop_ratio': 5.0})
    loads = []
    load = type(dataset.source).prepare_data
    dataset.source.prepare_data = lambda index: loads.append(index) or load(dataset.source, index)
    assert shade(dataset[Draw(0, 0)]['source']) == 2
    assert loads == [2]  # the whole image holds all 20 pixels: no crop holds more


def test_classes_follow_reduce_zero_label_and_label_map(tmp_path: Path, target: Path) -> None:
    source = write_domain(tmp_path / 'reduced', [{1: 100, 2: 50, 3: 20}])
    dataset = PairedDomainDataset(
        dataset_config(source, reduce_zero_label=True), dataset_config(target, labelled=False), RARE
    )
    assert dataset.rare_classes is not None
    assert dataset.rare_classes.counts.tolist() == [[100, 50, 20]]

    names = ('road', 'forest')
    meta = {'metainfo': {'classes': names}, 'type': 'WHUOptSarDataset'}
    mapped = write_domain(tmp_path / 'mapped', [{5: 40, 6: 30, 1: 10}])
    dataset = PairedDomainDataset(
        dataset_config(mapped, **meta), dataset_config(target, labelled=False, **meta), RareClassSampling(min_pixels=5)
    )
    assert dataset.rare_classes is not None
    assert dataset.rare_classes.counts.tolist() == [[30, 40]]


def test_wrapped_datasets_are_counted_tile_by_tile(tmp_path: Path, source: Path, target: Path) -> None:
    second = write_domain(tmp_path / 'second', [{1: 5}, {2: 6}])
    parts = [dataset_config(source), {'type': 'RepeatDataset', 'times': 2, 'dataset': dataset_config(second)}]
    repeated = {'type': 'ConcatDataset', 'datasets': [parts[0], dataset_config(second)]}
    dataset = PairedDomainDataset(repeated, dataset_config(target, labelled=False), {'min_pixels': 4})
    assert dataset.rare_classes is not None
    assert dataset.rare_classes.counts[:, 1].tolist() == [60, 100, 30, 0, 5, 0]
    dataset = PairedDomainDataset(parts[1], dataset_config(target, labelled=False), {'min_pixels': 4})
    assert dataset.rare_classes is not None
    assert dataset.rare_classes.counts[:, 2].tolist() == [0, 6, 0, 6]


def test_statistics_are_kept_and_serve_a_split_of_a_flat_folder(
    tmp_path: Path, target: Path, messages: list[str]
) -> None:
    flat = tmp_path / 'flat'
    write_domain(flat / 'all', [{1: 9}, {1: 8}, {2: 7}])
    for kind in ('img', 'lbl'):
        for path in (flat / 'all' / kind).iterdir():
            path.rename(flat / f'{path.stem}_{kind}.png')
    (flat / 'train.txt').write_text('t02\nt00\n')
    config = dataset_config(
        flat,
        data_prefix={'img_path': '', 'seg_map_path': ''},
        img_suffix='_img.png',
        seg_map_suffix='_lbl.png',
        ann_file='train.txt',
    )
    for _ in range(2):
        dataset = PairedDomainDataset(config, dataset_config(target, labelled=False), {'min_pixels': 1})
        assert dataset.rare_classes is not None
        assert dataset.rare_classes.counts[:, 1:].tolist() == [[0, 7], [9, 0]]
    assert (flat / 'class_statistics.json').is_file()
    assert len([text for text in messages if 'Counting' in text]) == 1


def test_real_tiles_in_flat_folders_with_split_files(tmp_path: Path, shared_data: Path) -> None:
    root = shared_data / 'landcover5_mini'
    names = sorted(path.stem for path in (root / 'dubai' / 'img').iterdir())
    (tmp_path / 'train.txt').write_text('\n'.join(name for name in names if name < 'tile6'))
    meta = {'classes': ('building', 'road', 'land', 'vegetation', 'water')}
    crop = {'type': 'RandomCrop', 'crop_size': (128, 128)}
    dataset = PairedDomainDataset(
        dataset_config(root / 'cz', img_suffix='.jpg', metainfo=meta, pipeline=[LOAD, LABELS, crop, PACK]),
        dataset_config(
            root / 'dubai',
            labelled=False,
            img_suffix='.jpg',
            metainfo=meta,
            pipeline=[LOAD, crop, PACK],
            ann_file=str(tmp_path / 'train.txt'),
        ),
        {},
    )
    assert (len(dataset.source), len(dataset.target)) == (40, 20)
    held = [_pixels(dataset[Draw(0, ordinal)]['source'], 4) for ordinal in range(12)]
    assert sum(pixels > 6000 for pixels in held) >= 6  # water, the rarest class, fills most draws
