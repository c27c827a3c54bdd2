"""The adaptation benchmark around its training runs: configs, fingerprints, skipped runs, tables, commits."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from adaptation_study import class_shares, gains, student_figures, variants  # noqa: F401
from adaptation_study.arguments import parse_arguments
from adaptation_study.gains import format_gains
from adaptation_study.repository import commit_file, copy_of_commit, git
from adaptation_study.results import (
    Identity,
    Result,
    Run,
    data_fingerprint,
    in_order,
    pending,
    read_results,
    write_result,
)
from adaptation_study.running import Place, RunFailedError, _claimed, gather
from adaptation_study.table import MARKERS, format_tables, mean_and_deviation, notes, update_readme
from adaptation_study.variants import DATA, VARIANTS, compose, fingerprint, with_absolute_paths
from mmengine.config import Config
from mmengine.runner import ValLoop
from mmseg.registry import HOOKS, METRICS, MODELS
from PIL import Image
from torch.utils.data import DataLoader

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = Identity('config', 'data')
IDENTITIES = {(data, variant): IDENTITY for data in DATA for variant in VARIANTS}


def result(data: str, variant: str, seed: int, miou: float, **changes) -> Result:
    values = {
        'last': {'mIoU': miou, 'mF1': miou + 10, 'OA': miou + 20},
        'class_iou': {'road': miou, 'car': None},
        'best_miou': miou + 1,
        'iterations': 800,
        'transition': [{'iteration': 0, 'error': 0.9}, {'iteration': 800, 'error': miou / 1000}],
        'fingerprint': 'config',
        'data_fingerprint': 'data',
        'commit': 'a' * 40,
        'code': 'b' * 40,
        'seconds': 360.0,
        'resumed': False,
        'threads': 1,
        'machine': 'm',
    }
    return Result(data=data, variant=variant, seed=seed, **(values | changes))


def table_of(*found: Result) -> dict[Run, Result]:
    return {entry.run: entry for entry in found}


# ---- configs and fingerprints


@pytest.mark.parametrize('variant', ['baseline', 'source_only'])
def test_variants_are_those_of_the_shipped_configs(variant):
    shipped = Config.fromfile(ROOT / 'configs' / f'{variant}_demo.py')
    assert compose('demo', variant, ROOT).model.to_dict() == shipped.model.to_dict()


def test_full_dlc_is_the_shipped_config():
    shipped = Config.fromfile(ROOT / 'configs' / 'dlc_demo.py')
    composed = compose('demo', 'dlc', ROOT)
    for part in ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler'):
        assert composed[part] == shipped[part], part
    assert composed.train_cfg.max_iters == shipped.train_cfg.max_iters


@pytest.mark.parametrize('data', DATA)
def test_only_the_oracle_trains_on_target_labels(data):
    for variant in VARIANTS:
        pair = compose(data, variant, ROOT).train_dataloader.dataset
        assert 'seg_map_path' not in pair.target.data_prefix
        assert (pair.source.data_root == pair.target.data_root) == (variant == 'oracle')
    labelled = compose(data, 'oracle', ROOT).train_dataloader.dataset.source
    assert labelled.data_prefix.seg_map_path == DATA[data].target_labels
    assert [step.type for step in labelled.pipeline].count('LoadAnnotations') == 1


def test_each_part_is_switched_as_its_name_says():
    switched = {}
    for name in ('baseline', 'ls', 'ntm', 'ntm_vol', 'dlc', 'true_t'):
        model = compose('landcover', name, ROOT).model
        parts = [model.get(part) is not None for part in ('transition', 'volume_loss', 'convexity_loss')]
        switched[name] = (model.target_loss.label_smoothing > 0, *parts)
    assert switched == {
        'baseline': (False, False, False, False),
        'ls': (True, False, False, False),
        'ntm': (False, True, False, False),
        'ntm_vol': (False, True, True, True),
        'dlc': (True, True, True, True),
        'true_t': (True, True, False, False),
    }
    assert compose('landcover', 'true_t', ROOT).model.transition == {'type': 'TrueTransitionMatrix'}


def test_the_last_validation_follows_the_last_iteration():
    for data in DATA:
        train = compose(data, 'dlc', ROOT).train_cfg
        assert train.max_iters == variants.VALIDATIONS * train.val_interval


def test_fingerprints_differ_between_variants_and_data():
    found = {fingerprint(compose(data, variant, ROOT), ROOT) for data in DATA for variant in VARIANTS}
    assert len(found) == len(DATA) * len(VARIANTS)


def test_fingerprint_ignores_seed_speed_and_place(tmp_path):
    before = fingerprint(compose('landcover', 'dlc', ROOT), ROOT)
    for folder in ('configs', 'benchmarks/configs'):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    config = compose('landcover', 'dlc', tmp_path)
    config.merge_from_dict(
        {
            'randomness.seed': 7,
            'work_dir': 'elsewhere',
            'train_dataloader.num_workers': 4,
            'default_hooks.logger.interval': 1,
            'model.feature_distance': None,
        }
    )
    assert fingerprint(config, tmp_path) == before


@pytest.mark.parametrize(
    'change',
    [
        {'model.teacher_momentum': 0.02},
        {'model.target_loss.ce_weight': 0.7},
        {'model.transition': None},
        {'optim_wrapper.optimizer.lr': 2e-3},
        {'train_cfg.max_iters': 1600},
        {'train_dataloader.dataset.rare_class_sampling.temperature': 0.1},
    ],
    ids=str,
)
def test_fingerprint_sees_a_change(change):
    config = compose('demo', 'dlc', ROOT)
    before = fingerprint(config, ROOT)
    config.merge_from_dict(change)
    assert fingerprint(config, ROOT) != before


def test_settings_of_self_training_do_not_count_without_it():
    found = []
    for threshold, on_target in ((0.6, 'running'), (0.9, 'batch')):
        config = compose('demo', 'statistics', ROOT)
        config.model.pseudo_label_threshold = threshold
        config.model.teacher_statistics.student_on_target = on_target
        found.append(fingerprint(config, ROOT))
    assert found[0] == found[1]


def test_fingerprint_sees_a_changed_default_of_the_package(monkeypatch):
    from dlc_mmseg.models.augmentations import ClassMix

    before = {name: fingerprint(compose('demo', name, ROOT), ROOT) for name in ('dlc', 'source_only')}
    monkeypatch.setitem(ClassMix.__init__.__kwdefaults__, 'loss_weight', 0.5)
    after = {name: fingerprint(compose('demo', name, ROOT), ROOT) for name in ('dlc', 'source_only')}
    assert after['dlc'] != before['dlc']
    assert after['source_only'] == before['source_only']  # mixes nothing


def test_data_roots_become_absolute_everywhere(tmp_path):
    config = with_absolute_paths(compose('landcover', 'ntm', ROOT).to_dict(), tmp_path / 'checkout')
    expected = str((tmp_path / 'shared/data/landcover5_mini/dubai').resolve())
    assert config['train_dataloader']['dataset']['target']['data_root'] == expected
    assert config['custom_hooks'][0]['target']['data_root'] == expected
    assert Path(config['val_dataloader']['dataset']['ann_file']).is_file()


def test_training_and_validation_of_landcover_share_no_place():
    lists = [(ROOT / 'benchmarks/configs' / f'dubai_{part}.txt').read_text().split() for part in ('train', 'val')]
    train, validation = ({name.rpartition('_')[0] for name in names} for names in lists)
    assert validation == {'tile6', 'tile7', 'tile8'}
    assert not train & validation


def test_data_fingerprint_follows_pixels_and_names(tmp_path):
    assert data_fingerprint(tmp_path) is None
    image = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    Image.fromarray(image).save(tmp_path / 'a.png', compress_level=0)
    first = data_fingerprint(tmp_path)
    Image.fromarray(image).save(tmp_path / 'a.png', compress_level=9)
    assert data_fingerprint(tmp_path) == first
    Image.fromarray(image + 1).save(tmp_path / 'a.png')
    changed = data_fingerprint(tmp_path)
    assert changed not in (None, first)
    (tmp_path / 'a.png').rename(tmp_path / 'b.png')
    assert data_fingerprint(tmp_path) not in (first, changed)


# ---- which runs are to be done


def test_finished_runs_are_skipped_and_changed_ones_are_not():
    runs = [Run('demo', 'baseline', seed) for seed in range(4)]
    results = table_of(
        result('demo', 'baseline', 0, 30.0),
        result('demo', 'baseline', 1, 30.0, fingerprint='older'),
        result('demo', 'baseline', 2, 30.0, data_fingerprint='older'),
    )
    to_do, reports = pending(runs, results, IDENTITIES)
    assert [run.seed for run in to_do] == [1, 2, 3]
    assert len(reports) == 2
    assert 'baseline_seed1' in reports[0]
    assert 'another config' in reports[0]
    assert 'another data' in reports[1]


def test_results_of_older_code_run_again_only_when_asked():
    runs = [Run('demo', 'dlc', 0)]
    results = table_of(result('demo', 'dlc', 0, 30.0, code='old'))
    assert pending(runs, results, IDENTITIES) == ([], [])
    to_do, reports = pending(runs, results, IDENTITIES, code='new')
    assert to_do == runs
    assert 'other code' in reports[0]


def test_results_fit_where_the_data_are_not_here():
    assert result('demo', 'dlc', 0, 1.0).fits(Identity('config', None))


def test_runs_that_need_no_estimate_come_first_seed_by_seed():
    runs = in_order(Run('demo', variant, seed) for variant in VARIANTS for seed in (1, 0))
    later = {name for name, variant in VARIANTS.items() if variant.estimates}
    assert later == {'ntm', 'ntm_vol', 'dlc', 'batch_student', 'dlc_high'}
    first = len(VARIANTS) - len(later)
    assert {run.variant for run in runs[: 2 * first]} == set(VARIANTS) - later
    assert [run.seed for run in runs] == [0] * first + [1] * first + [0] * len(later) + [1] * len(later)


def test_results_survive_their_files(tmp_path):
    written = [result('demo', 'dlc', 0, 31.25), result('landcover', 'oracle', 2, 60.0, transition=[])]
    for entry in written:
        write_result(tmp_path, entry)
    assert read_results(tmp_path) == table_of(*written)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['demo_dlc_seed0.json', 'landcover_oracle_seed2.json']


def test_a_file_that_is_no_result_is_named(tmp_path):
    (tmp_path / 'demo_dlc_seed0.json').write_text('{"variant": "dlc"}')
    with pytest.raises(SystemExit, match='demo_dlc_seed0'):
        read_results(tmp_path)


# ---- tables


def test_table_of_hand_made_results():
    results = table_of(
        result('demo', 'baseline', 0, 30.0),
        result('demo', 'baseline', 1, 32.0),
        result('demo', 'dlc', 0, 33.0, student_miou=20.0),
        result('demo', 'dlc', 1, 37.0),
        result('demo', 'dlc', 2, 99.0, fingerprint='older'),
        result('demo', 'oracle', 0, 50.0, transition=[]),
    )
    lines = format_tables(results, IDENTITIES).splitlines()
    assert 'Demo data (drawn)' in lines[0]
    assert '800 iterations' in lines[0]
    assert '5 runs, 0.5 h' in lines[0]
    rows = {line.split(' | ')[0].strip('| '): line for line in lines if line.startswith('| ')}
    assert rows['full DLC'] == (
        '| full DLC | 33.00 / 37.00 | 35.00 ± 2.83 | 45.00 ± 2.83 | 55.00 ± 2.83 | 36.00 ± 2.83 | 20.00 '
        '| +4.00 ± 1.41 | 0.035 ± 0.003 |'
    )
    assert rows['baseline (DACS + MIC)'] == (
        '| baseline (DACS + MIC) | 30.00 / 32.00 | 31.00 ± 1.41 | 41.00 ± 1.41 | 51.00 ± 1.41 | 32.00 ± 1.41 |  |  '
        '| 0.031 ± 0.001 |'
    )
    assert rows['target-supervised'] == '| target-supervised | 50.00 | 50.00 | 60.00 | 70.00 | 51.00 |  | +20.00 |  |'
    assert '+NTM' not in rows  # rows without a run are left out
    assert len({line.count('|') for line in lines[2:]}) == 1


def test_gains_at_another_threshold_are_over_its_own_baseline():
    results = table_of(
        result('demo', 'baseline', 0, 30.0),
        result('demo', 'baseline_high', 0, 20.0),
        result('demo', 'dlc_high', 0, 23.0),
    )
    lines = format_tables(results, IDENTITIES).splitlines()
    assert '"full DLC, threshold 0.9": gain over "baseline, threshold 0.9"' in lines[0]
    gains = {line.split(' | ')[0].strip('| '): line.split(' | ')[7] for line in lines if line.startswith('| ')}
    assert gains['baseline, threshold 0.9'] == '-10.00'
    assert gains['full DLC, threshold 0.9'] == '+3.00'


def test_tables_of_both_data_sets_stand_below_each_other():
    text = format_tables(table_of(result('landcover', 'dlc', 0, 1.0), result('demo', 'dlc', 0, 1.0)), IDENTITIES)
    assert text.index('Demo data') < text.index('Dubai')
    assert format_tables({}, IDENTITIES) == 'No results yet.'


def test_spread():
    assert mean_and_deviation([]) == ''
    assert mean_and_deviation([2.0], sign='+') == '+2.00'
    assert mean_and_deviation([1.0, 2.0, 3.0], digits=1) == '2.0 ± 1.0'
    assert mean_and_deviation([-1.0, -1.0], sign='+') == '-1.00 ± 0.00'


def test_notes_name_missing_seeds_and_mixed_code():
    runs = [Run('demo', 'dlc', seed) for seed in range(3)]
    results = table_of(result('demo', 'dlc', 0, 1.0), result('demo', 'dlc', 1, 1.0, code='other', commit='c' * 40))
    lines = notes(results, runs, [runs[2]])
    assert lines[0] == 'missing: demo dlc, seeds 2'
    assert 'a' * 10 in lines[1]
    assert 'c' * 10 in lines[1]
    assert notes(table_of(result('demo', 'dlc', 0, 1.0)), runs[:1], []) == []


def test_readme_changes_between_the_markers_only(tmp_path):
    readme = tmp_path / 'README.md'
    readme.write_text(f'before\n{MARKERS[0]}\nold\n{MARKERS[1]}\nafter\n')
    assert update_readme(readme, 'table')
    assert readme.read_text() == f'before\n{MARKERS[0]}\n\ntable\n\n{MARKERS[1]}\nafter\n'
    assert not update_readme(readme, 'table')
    readme.write_text('nothing here')
    with pytest.raises(SystemExit, match='README'):
        update_readme(readme, 'table')


@pytest.mark.parametrize(('page', 'markers'), [('README.md', gains.MARKERS), ('benchmarks/README.md', MARKERS)])
def test_the_pages_have_the_markers(page, markers):
    text = (ROOT / page).read_text(encoding='utf-8')
    assert [text.count(marker) for marker in markers] == [1, 1]
    assert text.index(markers[0]) < text.index(markers[1])


def test_gains_are_those_over_the_same_seed_of_source_only_training():
    results = table_of(
        *(result('demo', 'source_only', seed, miou) for seed, miou in ((0, 20.0), (1, 24.0))),
        *(result('demo', 'statistics', seed, miou) for seed, miou in ((0, 30.0), (1, 36.0), (2, 99.0))),
        *(result('demo', 'baseline', seed, miou) for seed, miou in ((0, 31.0), (1, 36.0))),
        *(result('demo', 'dlc', seed, miou, student_miou=25.0) for seed, miou in ((0, 33.0), (1, 39.0))),
        *(
            result('drone', name, 0, miou)
            for name, miou in (('source_only', 30.0), ('statistics', 29.0), ('dlc', 28.0))
        ),
        result('drone', 'baseline', 0, 10.0, fingerprint='older'),
        result('buildings', 'dlc', 0, 99.0),
        *(result('drone_lite0', name, 0, miou) for name, miou in (('source_only', 30.0), ('dlc', 34.0))),
    )
    lines = format_gains(results, IDENTITIES).splitlines()
    assert lines[0] == (
        '| pair | seeds | source-only | statistics alone | baseline | DLC, target statistics '
        '| DLC, source statistics | DLC over baseline |'
    )
    demo = '+11.00 ± 1.41 | +11.50 ± 0.71 | +14.00 ± 1.41 | +3.00 ± 2.83 | +2.50 ± 0.71'
    assert lines[2:] == [
        f'| Demo data (drawn) | 0 1 | 22.00 ± 2.83 | {demo} |',
        '| Drone survey 1d4f to ec09 | 0 | 30.00 | -1.00 |  | -2.00 |  |  |',
        '| **worst, from scratch** |  |  | -1.00 | +11.50 | -2.00 | +3.00 |  |',
        '| **mean, from scratch** |  |  | +5.00 | +11.50 | +6.00 | +3.00 |  |',
        f'| {DATA["drone_lite0"].title} | 0 | 30.00 |  |  | +4.00 |  |  |',
        '| **worst, ImageNet weights** |  |  |  |  | +4.00 |  |  |',
        '| **mean, ImageNet weights** |  |  |  |  | +4.00 |  |  |',
    ]
    assert format_gains({}, IDENTITIES) == 'No results yet.'


# ---- git and gathering


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / 'checkout'
    for name in ('benchmarks/results', 'configs', 'dlc_mmseg'):
        (folder / name).mkdir(parents=True)
        (folder / name / 'file.txt').write_text('committed')
    (folder / 'benchmarks/code.py').write_text('committed')
    subprocess.run(['git', 'init', '--quiet', folder], check=True)
    git(folder, 'config', 'user.name', 'somebody')
    git(folder, 'config', 'user.email', 'somebody@example.org')
    git(folder, 'add', '.')
    git(folder, 'commit', '--quiet', '--message', 'first')
    return folder


def test_one_file_is_committed_and_nothing_else(repository):
    (repository / 'configs/file.txt').write_text('edited')
    (repository / 'dlc_mmseg/file.txt').write_text('staged')
    git(repository, 'add', 'dlc_mmseg/file.txt')
    path = repository / 'benchmarks/results/demo.json'
    path.write_text('{}')
    commit_file(repository, path, 'a result')
    assert git(repository, 'show', '--name-only', '--format=').split() == ['benchmarks/results/demo.json']
    assert git(repository, 'diff', '--name-only') == 'configs/file.txt'
    assert git(repository, 'diff', '--cached', '--name-only') == 'dlc_mmseg/file.txt'
    before = git(repository, 'rev-parse', 'HEAD')
    commit_file(repository, path, 'the same result')
    assert git(repository, 'rev-parse', 'HEAD') == before


def test_runs_take_the_committed_code(repository, tmp_path):
    (repository / 'configs/file.txt').write_text('edited')
    copy = copy_of_commit(repository, tmp_path / 'code')
    assert copy.name == git(repository, 'rev-parse', 'HEAD')
    assert (copy / 'configs/file.txt').read_text() == 'committed'
    assert (copy / 'benchmarks/code.py').is_file()
    assert not (copy / 'benchmarks/results').exists()
    assert copy_of_commit(repository, tmp_path / 'code') == copy
    assert list((tmp_path / 'code').iterdir()) == [copy]


def place(folder: Path) -> Place:
    return Place(folder, folder, folder, 'a' * 40, 'b' * 40, 0, 1)


def write_run(folder: Path) -> None:
    (folder / 'config.py').write_text("train_cfg = dict(type='IterBasedTrainLoop', max_iters=4)\n")
    first, second = folder / '1' / 'vis_data', folder / '2' / 'vis_data'
    first.mkdir(parents=True)
    second.mkdir(parents=True)
    figures = {'mF1': 20.0, 'aAcc': 30.0, 'IoU.road': 12.345, 'IoU.car': float('nan'), 'predicted.road': 70.0}
    (folder / 'student.json').write_text(json.dumps({'mIoU': 7.0, 'IoU.road': 14.0, 'IoU.car': 0.0}))
    lines = [{'loss': 1.0, 'step': 1}, {**figures, 'mIoU': 11.0, 'step': 2}, {**figures, 'mIoU': 99.0, 'step': 3}]
    (first / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines) + '{"mIoU": 5')
    lines = [{**figures, 'mIoU': 8.0, 'step': 3}, {**figures, 'mIoU': 10.0, 'step': 4}]
    (second / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    course = [{'iteration': 4, 'error': 0.2}, {'iteration': 0, 'error': 0.1}, {'iteration': 4, 'error': 0.3}]
    (folder / 'transition.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in course))


def test_figures_are_gathered_over_an_interruption(tmp_path):
    write_run(tmp_path)
    found = gather(Run('demo', 'dlc', 1), tmp_path, place(tmp_path), IDENTITY, 12.34, True)
    assert found.last == {'mIoU': 10.0, 'mF1': 20.0, 'OA': 30.0}
    assert found.class_iou == {'road': 12.35, 'car': None} or found.class_iou == {'road': 12.34, 'car': None}
    assert (found.predicted_shares, found.labelled_shares) == ({'road': 70.0}, {})
    assert (found.student_miou, found.student_class_iou) == (7.0, {'road': 14.0, 'car': 0.0})
    assert found.best_miou == 11.0  # the repeated validation of step 3 counts, not the one before the interruption
    assert [line['error'] for line in found.transition] == [0.1, 0.3]
    assert (found.run, found.seconds, found.resumed) == (Run('demo', 'dlc', 1), 12.3, True)
    assert replace(found, seconds=0.0).fits(IDENTITY)


def test_a_run_without_its_last_validation_has_no_figures(tmp_path):
    write_run(tmp_path)
    (tmp_path / '2/vis_data/scalars.json').unlink()
    with pytest.raises(RunFailedError, match='last iteration 4'):
        gather(Run('demo', 'dlc', 1), tmp_path, place(tmp_path), IDENTITY, 1.0, False)


def test_a_run_is_claimed_once(tmp_path):
    with _claimed(tmp_path), pytest.raises(RunFailedError, match='another process'), _claimed(tmp_path):
        pass
    with _claimed(tmp_path):
        pass


def test_command_line():
    args = parse_arguments('', ['--data', 'demo', '--seeds', '0', '2', '--jobs', '2', '--commit'])
    assert (args.data, args.seeds, args.jobs, args.commit, args.again) == (['demo'], [0, 2], 2, True, False)


def test_shares_are_of_labelled_pixels():
    metric = METRICS.build({'type': 'ClassShareMetric', 'iou_metrics': ['mIoU']})
    metric.dataset_meta = {'classes': ('road', 'car')}
    areas = [torch.tensor(values) for values in ([30.0, 5.0], [65.0, 30.0], [60.0, 40.0], [75.0, 25.0])]
    figures = metric.compute_metrics([tuple(areas), tuple(areas)])
    assert (figures['predicted.road'], figures['predicted.car']) == (60.0, 40.0)
    assert (figures['labelled.road'], figures['labelled.car']) == (75.0, 25.0)
    assert figures['IoU.road'] == pytest.approx(100 * 30 / 65)


def test_the_student_is_validated_with_its_own_statistics(tmp_path):
    model = MODELS.build(toy.dlc(predict_with='teacher'))
    batches, seen = [toy.domain_batch(labelled=True, seed=seed) for seed in range(2)], []
    evaluator = SimpleNamespace(process=lambda data_samples, data_batch: seen.append(data_samples))
    evaluator.evaluate = lambda size: {'mIoU': np.float32(size)}
    runner = SimpleNamespace(model=model, work_dir=str(tmp_path), val_loop=ValLoop.__new__(ValLoop))
    runner.val_loop.dataloader = DataLoader(batches, batch_size=None)
    runner.val_loop.evaluator = evaluator
    with torch.no_grad():
        model.student.decode_head.conv_seg.weight.zero_()
        model.student.decode_head.conv_seg.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    HOOKS.build({'type': 'StudentFiguresHook'}).after_train(runner)
    assert all(sample.pred_sem_seg.data.eq(1).all() for samples in seen for sample in samples)
    assert json.loads((tmp_path / 'student.json').read_text()) == {'mIoU': 2.0}  # as many as the data set has
    assert model.predict_with == 'teacher'
