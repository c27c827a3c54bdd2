"""Every kind of bad input gets one line that names it and says what to do; a valid pair gets none."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from faults import FAULTS
from faults.injecting import DATA, SOURCE, TARGET, VALIDATION, each, noise, png, shape_labels, validation_tested
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmseg.registry import MODELS, TRANSFORMS
from PIL import Image
from tiny_run import run_config, write_pair

from dlc_mmseg.checks import Options, Report, check_config, checkpoints, schedule
from dlc_mmseg.datasets import compute_class_statistics, read_class_statistics


@pytest.fixture(scope='module')
def valid(tmp_path_factory):
    """Folder of a valid pair, and the model of its config."""
    root = tmp_path_factory.mktemp('valid')
    write_pair(root)
    return root, MODELS.build(run_config(root).model.to_dict())


@pytest.fixture
def pair(valid, tmp_path):
    """A copy of the valid pair, below a folder with a trying name, and its config."""
    root = tmp_path / "it's $HOME; Größe & more"
    shutil.copytree(valid[0], root)
    return root, run_config(root)


def check(config: Config, model: Any = None, *, full: bool = False, **options: Any) -> Report:
    return check_config(validation_tested(config), Options(full=full, **options), model=model)


def lines(report: Report) -> str:
    return '\n'.join(f'{problem.severity}: {problem.line}' for problem in report.problems)


@pytest.mark.parametrize('full', [False, True])
def test_a_valid_pair_has_no_problem(pair, full):
    before = sorted(path for path in pair[0].rglob('*'))
    report = check(pair[1], full=full)
    assert lines(report) == ''
    assert report.counts == '3 source and 4 target images, 2 validation images'
    assert sorted(path for path in pair[0].rglob('*')) == before  # checking writes nothing


def test_there_are_more_kinds_than_asked_for():
    assert len(FAULTS) > 90
    assert len({item.name for item in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize('item', FAULTS, ids=lambda item: item.name)
def test_a_fault_is_named_with_its_remedy(pair, valid, item):
    root, config = pair
    item.inject(root, config)
    needs_building = item.where == 'model'
    report = check(config, None if needs_building else valid[1], full=item.full)
    inside = item.where.startswith('/') and not item.where.startswith('/proc')
    where = f'{root}{item.where}'.removesuffix('/') if inside else item.where
    found = [problem for problem in report.problems if problem.line.startswith(f'{where}: ')]
    found = [problem for problem in found if all(word in problem.line for word in item.words)]
    assert len(found) == 1, lines(report)
    assert found[0].severity == item.severity
    assert '\n' not in found[0].line
    assert len(report.problems) == 1 or not item.alone, lines(report)
    if item.full:
        assert not check(config, valid[1]).problems


def test_all_problems_come_in_one_go(pair, valid):
    root, config = pair
    (root / 'source/img/t00.png').write_bytes(b'')
    (root / 'target/img/t01.png').write_text('no image', encoding='utf-8')
    labels = shape_labels()
    labels[0, 0] = 9
    png(root / 'source/lbl/t01.png', labels)
    config.merge_from_dict({
        f'{VALIDATION}.data_root': str(root / 'nowhere'),
        f'{TARGET}.metainfo.classes': ('a', 'b', 'c'),
        'model.segmentor.decode_head.num_classes': 7,
        'model.teacher_momentm': 1.0,
        'load_from': 'none.pth',
        'work_dir': '/proc/1/x',
    })  # fmt: skip
    report = check(config, valid[1])
    assert len(report.errors) == 9, lines(report)


def test_one_fault_of_many_files_is_one_line(pair, valid):
    root, config = pair
    for path in each(root / 'target/img')[1:]:
        path.write_bytes(path.read_bytes()[: 300 + int(path.stem[1:])])
    (problem,) = check(config, valid[1]).problems
    assert problem.where == str(root / 'target/img/t01.png')
    assert '(and 2 more)' in problem.what


def test_names_that_cannot_be_printed_are_escaped(pair, valid):
    root, config = pair
    name = 'line\nbreak \udcff.png'
    (root / 'target/img' / name).write_bytes(b'')
    (problem,) = check(config, valid[1]).problems
    assert 'line\\nbreak \\udcff.png: target image is empty' in problem.line
    problem.line.encode('utf-8')


def test_names_with_signs_and_letters_of_all_kinds_are_read(pair, valid):
    root, config = pair
    for name in ("a b's; $(touch x) `y` & {z} [0]*?", 'Größe 東京 é', '-rf', '%20#'):
        png(root / f'source/img/{name}.png', noise(len(name), 16, 16, 3))
        png(root / f'source/lbl/{name}.png', shape_labels())
    (root / 'target/ü $x.txt').write_text('t00\nt03\n', encoding='utf-8')
    config.merge_from_dict({f'{TARGET}.ann_file': 'ü $x.txt'})
    for full in (False, True):
        report = check(config, valid[1], full=full)
        assert lines(report) == ''
        assert report.images == {'source': 7, 'target': 2, 'validation': 2}


@pytest.mark.parametrize('suffix', ['.jpg', '.bmp', '.tif'])
def test_other_formats_are_read(pair, valid, suffix):
    root, config = pair
    for name, folder in ((SOURCE, 'source'), (TARGET, 'target'), (VALIDATION, 'validation')):
        for path in each(root / folder / 'img'):
            Image.open(path).save(path.with_suffix(suffix))
            path.unlink()
        config.merge_from_dict({f'{name}.img_suffix': suffix})
    assert lines(check(config, valid[1])) == ''


def test_a_format_that_pillow_does_not_know_is_left_to_the_pipeline(pair, valid):
    """16-bit colour TIFFs: no Pillow mode; the pipeline's reader decides."""
    cv2 = pytest.importorskip('cv2')
    root, config = pair
    for name, folder in ((SOURCE, 'source'), (TARGET, 'target'), (VALIDATION, 'validation')):
        for number, path in enumerate(each(root / folder / 'img')):
            bands = noise(number + 10 * ord(folder[0]), 16, 16, 3, dtype='uint16')
            cv2.imwrite(str(path.with_suffix('.tiff')), bands)
            path.unlink()
        config.merge_from_dict({f'{name}.img_suffix': '.tiff', f'{name}.pipeline.0.color_type': 'unchanged'})
    config.merge_from_dict({'model.data_preprocessor.mean': [3e4] * 3, 'model.data_preprocessor.std': [1e4] * 3})
    config.model.strong_augmentation.value_range = 65535
    assert lines(check(config, valid[1])) == ''


def test_data_sets_that_are_joined_are_all_checked(pair, valid):
    root, config = pair
    part = config.train_dataloader.dataset.source
    joined = {'type': 'ConcatDataset', 'datasets': [part, {**part, 'data_root': str(root / 'validation')}]}
    config.merge_from_dict({SOURCE: {'_delete_': True, **joined}, 'val_dataloader': None, 'val_cfg': None})
    config.val_evaluator = None
    report = check(config, valid[1])
    assert lines(report) == ''
    assert report.images == {'source': 5, 'target': 4}
    (root / 'validation/img/t01.png').write_bytes(b'')
    config.train_dataloader.dataset.source.datasets[0].data_root = str(root / 'none')
    assert len(check(config, valid[1]).errors) == 2


def test_a_pair_may_be_repeated(pair, valid):
    train = pair[1].train_dataloader.dataset
    pair[1].train_dataloader.dataset = {'type': 'RepeatDataset', 'times': 2, 'dataset': train}
    assert lines(check(pair[1], valid[1])) == ''
    train.rare_class_sampling = {'temperature': -1}
    assert 'rare_class_sampling: temperature is -1' in lines(check(pair[1], valid[1]))


def test_custom_classes_and_label_maps_are_honoured(pair, valid):
    """Classes in another order than the dataset class names them: mmseg maps the labels."""
    root, config = pair
    for path in each(root / 'source/lbl'):
        png(path, shape_labels() + 3)
    for name in (SOURCE, TARGET, VALIDATION):
        classes = {'classes': ('tree', 'low_vegetation', 'car')}
        config.merge_from_dict({f'{name}.type': 'PotsdamDataset', f'{name}.metainfo': {'_delete_': True, **classes}})
        config.merge_from_dict({f'{name}.reduce_zero_label': True})
    for path in each(root / 'validation/lbl'):
        png(path, shape_labels() + 3)
    assert lines(check(config, valid[1], full=True)) == ''
    for path in each(root / 'source/lbl'):
        png(path, shape_labels() + 6)
    (problem,) = check(config, valid[1]).errors
    assert 'label values 7, 8' in problem.what


@TRANSFORMS.register_module()
class LoadIndices(BaseTransform):
    """A user's own loader of labels."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results['gt_seg_map'] = np.array(Image.open(results['seg_map_path']))
        results['seg_fields'].append('gt_seg_map')
        return results


def test_labels_may_be_loaded_in_another_way(pair, valid):
    config = pair[1]
    for name in (SOURCE, VALIDATION):
        config.merge_from_dict({f'{name}.pipeline.1.type': 'LoadIndices'})
    assert lines(check(config, valid[1])) == ''


def test_padding_makes_large_crops_possible(pair, valid):
    _, config = pair
    for name in ('source', 'target'):
        config.train_dataloader.dataset[name].pipeline.insert(-1, {'type': 'RandomCrop', 'crop_size': (32, 32)})
    config.model.data_preprocessor.size = (32, 32)
    assert lines(check(config, valid[1])) == ''


def test_statistics_are_believed_where_they_fit(pair, valid):
    root, config = pair
    report = check(config, valid[1], keep_statistics=True)
    assert lines(report) == ''
    path = root / 'source/lbl/class_statistics.json'
    assert read_class_statistics(path) == compute_class_statistics(root / 'source/lbl')
    written = path.stat().st_mtime_ns
    assert lines(check(config, valid[1], keep_statistics=True)) == ''
    assert path.stat().st_mtime_ns == written


def test_source_only_training_on_one_dataset(pair):
    _, config = pair
    segmentor = config.model.segmentor.to_dict()
    preprocessor = {'type': 'SegDataPreProcessor', 'mean': [127.5] * 3, 'std': [60.0] * 3}
    config.merge_from_dict({
        'model': {'_delete_': True, **segmentor, 'data_preprocessor': preprocessor},
        DATA: {'_delete_': True, **config.train_dataloader.dataset.source.to_dict()},
        'train_dataloader.sampler.type': 'InfiniteSampler',
    })  # fmt: skip
    report = check(config)
    assert lines(report) == ''
    assert report.counts.startswith('3 source and 0 target images')
    config.model.decode_head.num_classes = 5
    config.model.data_preprocessor.mean = [1.0]
    assert {problem.where for problem in check(config).errors} == {
        'model.decode_head.num_classes',
        'model.data_preprocessor.std',
    }


def test_disk_space_is_compared_with_the_checkpoints_to_come(pair, valid, monkeypatch):
    _, config = pair
    model = valid[1]
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad) * 4
    state = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    one = state + 2 * trained  # AdamW
    needed, number = checkpoints.checkpoint_bytes(config.to_dict(), model)
    assert (needed, number) == (3 * one, 3)  # two kept, one being written
    config.default_hooks.checkpoint.save_best = 'mIoU'
    assert checkpoints.checkpoint_bytes(config.to_dict(), model)[0] == 4 * one
    del config.default_hooks.checkpoint['max_keep_ckpts']
    config.train_cfg.max_iters = 1000
    assert checkpoints.checkpoint_bytes(config.to_dict(), model)[1] == 1002
    config = run_config(pair[0])
    monkeypatch.setattr(checkpoints.shutil, 'disk_usage', lambda path: SimpleNamespace(free=3 * one - 1))
    (problem,) = check(config, model).problems
    assert problem.severity == 'error'
    assert problem.line.startswith(f'{pair[0]}/work: 3 checkpoints need about')
    assert 'max_keep_ckpts' in problem.remedy
    monkeypatch.setattr(checkpoints.shutil, 'disk_usage', lambda path: SimpleNamespace(free=3 * one))
    assert not check(config, model).problems


@pytest.mark.parametrize('names', [(), ('iter_1',), ('iter_1', 'best_mIoU_iter_1'), ('iter_0', 'iter_1', 'iter_2')])
def test_a_resumed_run_needs_no_space_for_the_checkpoints_it_has(pair, valid, monkeypatch, names):
    root, config = pair
    needed, number = checkpoints.checkpoint_bytes(config.to_dict(), valid[1])
    one = needed // number
    (root / 'work').mkdir()
    for name in names:
        with open(root / 'work' / f'{name}.pth', 'wb') as file:
            file.truncate(one)
    missing = max(number - len(names), 1) * one  # the one being written needs space in any case
    for config.resume in (False, True):
        for free, enough in ((missing - 1, False), (missing, config.resume or not names), (needed, True)):
            monkeypatch.setattr(checkpoints.shutil, 'disk_usage', lambda path, free=free: SimpleNamespace(free=free))
            problems = [problem for problem in check(config, valid[1]).errors if 'checkpoints need' in problem.what]
            assert len(problems) == (not enough)


def test_a_broken_checkpoint_that_gives_way_is_only_a_warning(pair, valid):
    root, config = pair
    work = root / 'work'
    work.mkdir()
    (work / 'iter_2.pth').write_bytes(b'PK cut')
    (work / 'last_checkpoint').write_text(str(work / 'iter_2.pth'), encoding='utf-8')
    config.merge_from_dict({'resume': True, 'default_hooks.exact_resume': {'type': 'ExactResumeHook'}})
    assert [problem.severity for problem in check(config, valid[1]).problems] == ['error']
    shutil.copy(work / 'iter_2.pth', work / 'iter_1.pth')
    (problem,) = check(config, valid[1]).problems
    assert problem.severity == 'warning'
    assert 'iter_2.pth: cannot be read (its end is missing)' in problem.line
    (work / 'last_checkpoint').unlink()
    assert not check(config, valid[1]).problems


def test_a_remote_checkpoint_to_resume_is_left_to_mmengine(pair, valid):
    root, config = pair
    (root / 'work').mkdir()
    (root / 'work/last_checkpoint').write_text('s3://bucket/run/iter_2.pth', encoding='utf-8')
    config.resume = True
    assert lines(check(config, valid[1])) == ''


def test_shared_memory_is_compared_with_what_workers_hand_over(pair, valid, monkeypatch):
    _, config = pair
    monkeypatch.setattr(schedule, '_SHARED_MEMORY', Path('/'))
    monkeypatch.setattr(schedule.shutil, 'disk_usage', lambda path: SimpleNamespace(free=10_000))
    monkeypatch.setattr(checkpoints, 'check_work_dir', lambda *_: None)
    assert not [p for p in check(config, valid[1]).problems if 'num_workers' in p.where]
    config.train_dataloader.num_workers = 4
    (problem,) = [p for p in check(config, valid[1]).problems if 'num_workers' in p.where]
    assert problem.severity == 'warning'
    assert '--shm-size' in problem.line


def test_without_anything_there_is_still_a_list():
    report = check(Config({}))
    assert {problem.where for problem in report.errors} == {'train_dataloader', 'train_cfg', 'model'}


@pytest.mark.parametrize(
    ('part', 'reported'),
    [
        ('train_dataloader', ['train_dataloader']),
        ('model', ['model']),
        ('train_cfg', ['train_cfg']),
        ('val_dataloader', ['val_dataloader']),
        (
            'default_hooks',
            ['default_hooks.checkpoint.by_epoch', 'default_hooks.logger.log_metric_by_epoch'],
        ),  # MMEngine's
        ('optim_wrapper', []),
    ],
)
def test_configs_without_a_part_do_not_break_the_checks(pair, valid, part, reported):
    config = pair[1]
    config[part] = None
    assert [problem.where for problem in check(config, valid[1]).problems] == reported


def test_the_way_in_which_earlier_versions_were_called_still_works_and_warns(pair):
    sys.modules.pop('dlc_mmseg.engine.safe_checkpoint', None)
    with pytest.warns(DeprecationWarning, match=r'from dlc_mmseg\.files\.safe_checkpoint'):
        from dlc_mmseg.engine.safe_checkpoint import load_checkpoint_file
    read = []

    def reader(path, *, mmap):
        read.append((path, mmap))
        return load_checkpoint_file(path, mmap=mmap)

    _, config = pair
    config.load_from = str(pair[0] / 'source/img/t00.png')
    with pytest.warns(DeprecationWarning, match='read_checkpoint'):
        options = Options(full=True, read_checkpoint=reader)
    report = check_config(config.to_dict(), options)
    assert read == [(config.load_from, False)]
    assert [problem.where for problem in report.errors] == [config.load_from]
