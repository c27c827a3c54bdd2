"""Training starts with one list of all problems, or not at all."""

from __future__ import annotations

import logging
from copy import deepcopy

import pytest
from faults.injecting import TARGET
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import RUNNERS
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg import checks
from dlc_mmseg.checks.report import Problem
from dlc_mmseg.engine import PreflightHook, preflight_hook
from dlc_mmseg.errors import UserError


@pytest.fixture
def pair(tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path)
    config.runner_type = 'PreflightRunner'
    config.default_hooks.preflight = {'type': 'PreflightHook'}
    return tmp_path, config


@pytest.fixture
def logged(monkeypatch):
    seen = []
    monkeypatch.setattr(preflight_hook, 'print_log', lambda text, level=logging.INFO, **_: seen.append((level, text)))
    return seen


def build(config: Config) -> Runner:
    """What `mim train` does."""
    name = f'preflight {id(config)}'
    config = Config({**deepcopy(config.to_dict()), 'experiment_name': name})
    config.visualizer.name = name
    return Runner.from_cfg(config) if 'runner_type' not in config else RUNNERS.build(config)


def spoil(root, config):
    """Faults of five kinds: two that the datasets would stop at, one of a head, one of the disk, one of a file."""
    (root / 'source/lbl/t01.png').unlink()
    (root / 'target/img/t02.png').write_bytes(b'')
    config.merge_from_dict({
        f'{TARGET}.metainfo.classes': ('a', 'b', 'c'),
        'model.segmentor.decode_head.num_classes': 4,
        'load_from': 'none.pth',
    })  # fmt: skip


def test_a_valid_run_trains_and_says_what_it_read(pair, logged):
    runner = build(pair[1])
    runner.train()
    assert runner.iter == 2
    assert [level for level, _ in logged] == [logging.INFO]
    assert '3 source and 4 target images' in logged[0][1]


def test_all_problems_stop_the_run_before_the_datasets_are_built(pair, monkeypatch):
    root, config = pair
    spoil(root, config)
    runner = build(config)
    monkeypatch.setattr(runner, 'build_dataloader', None)
    with pytest.raises(UserError) as caught:
        runner.train()
    head, *lines = str(caught.value).splitlines()
    assert head.startswith('5 problems to solve')
    for part in ('source/lbl/t01.png: ', 'target/img/t02.png: ', 'metainfo.classes: ', 'num_classes: ', 'none.pth: '):
        assert sum(part in line for line in lines) == 1, part


def test_a_model_that_does_not_build_is_explained_with_everything_else(pair):
    root, config = pair
    (root / 'target/img/t02.png').write_bytes(b'')
    config.model.teacher_momentm = 1
    with pytest.raises(UserError) as caught:
        build(config)
    assert 'teacher_momentum may be meant' in str(caught.value)
    assert 'target/img/t02.png: ' in str(caught.value)


def test_other_errors_of_building_stay_what_they_are(pair):
    root, config = pair
    config.log_processor.window_sise = 1
    with pytest.raises(TypeError, match='window_sise'):
        build(config)
    (root / 'source/lbl/t01.png').unlink()  # training data is not what a part is built of, nor what is tested on
    config.load_from = 'none.pth'
    with pytest.raises(TypeError, match='window_sise'):
        build(config)


@pytest.mark.parametrize(
    ('changes', 'error', 'problem'),
    [
        ({'log_processor.window_sise': 1, 'model.segmentor.decode_head.num_classes': 4}, 'window_sise', 'is 4'),
        ({'val_evaluator': None}, 'should be either all None', 'val_evaluator: is missing'),
    ],
)
def test_the_error_of_building_comes_first(pair, changes, error, problem):
    _, config = pair
    config.merge_from_dict(changes)
    with pytest.raises(UserError) as caught:
        build(config)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert error in lines[0]
    assert len(lines[0]) < 220
    assert lines[1].startswith('1 problem to solve before training')
    assert problem in lines[2]


def test_with_the_plain_runner_the_hook_checks_before_the_first_iteration(pair):
    _, config = pair
    config = Config({key: value for key, value in config.to_dict().items() if key != 'runner_type'})
    config.model.segmentor.decode_head.num_classes = 4
    config.load_from = 'none.pth'
    with pytest.raises(UserError, match=r'2 problems(.|\n)*num_classes(.|\n)*none\.pth'):
        build(config).train()


def test_warnings_are_logged_and_training_goes_on(pair, logged):
    _, config = pair
    config.model.transition.total_iterations = 99
    config.train_dataloader.sampler.type = 'InfiniteSampler'
    runner = build(config)
    runner.train()
    assert runner.iter == 2
    warned = [text for level, text in logged if level == logging.WARNING]
    assert len(warned) == 2
    assert 'total_iterations' in warned[1]


def test_it_is_checked_once_and_not_for_tests(pair, logged, monkeypatch):
    root, config = pair
    calls = []
    monkeypatch.setattr(preflight_hook, 'check_config', lambda *_, **__: calls.append(1) or checks.Report())
    build(config).train()
    assert len(calls) == 1
    config.load_from = str(root / 'work/iter_2.pth')
    build(config).test()
    build(config).val()
    assert len(calls) == 1


def test_off_checks_nothing(pair, monkeypatch):
    _, config = pair
    monkeypatch.setattr(preflight_hook, 'check_config', None)
    config.default_hooks.preflight.mode = 'off'
    build(config).train()


def test_a_mistake_in_the_checks_stops_nothing(pair, logged, monkeypatch):
    monkeypatch.setattr(preflight_hook, 'check_config', lambda *_, **__: 1 / 0)
    build(pair[1]).train()
    assert 'gave up (ZeroDivisionError' in logged[0][1]


def test_full_mode_decodes_every_file(pair, monkeypatch):
    seen = []
    record = lambda _, options, **__: seen.append(options.full) or checks.Report()  # noqa: E731
    monkeypatch.setattr(preflight_hook, 'check_config', record)
    for mode in ('quick', 'full'):
        pair[1].default_hooks.preflight.mode = mode
        build(pair[1]).train()
    assert seen == [False, True]


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match=r"mode is 'fast': choose 'quick', 'full' or 'off'"):
        PreflightHook(mode='fast')


def test_other_ranks_stop_with_the_first(pair, monkeypatch):
    """Rank 1 reads nothing and raises what rank 0 found."""
    runner = runner_of(run_config(pair[0]))
    found = [Problem('error', 'a list', 'is long', 'cut it')]
    monkeypatch.setattr(preflight_hook, 'get_rank', lambda: 1)
    monkeypatch.setattr(preflight_hook, 'check_config', None)
    monkeypatch.setattr(preflight_hook, 'broadcast_object_list', lambda data: data.__setitem__(0, found))
    with pytest.raises(UserError, match='a list: is long: cut it'):
        PreflightHook().check(runner)


def test_the_source_labels_are_counted_once(pair):
    """What rare class sampling needs is counted by the preflight and kept for the dataset."""
    root, config = pair
    runner = build(config)
    for hook in runner.hooks:
        if isinstance(hook, PreflightHook):
            hook.check(runner)
    path = root / 'source/lbl/class_statistics.json'
    written = path.stat().st_mtime_ns
    runner.train()
    assert path.stat().st_mtime_ns == written


@pytest.fixture
def folders(pair):
    """Validation images of equal names in two folders."""
    root, config = pair
    for kind in ('img', 'lbl'):
        for path in sorted((root / 'validation' / kind).glob('*.png')):
            for name in ('north', 'south'):
                (path.parent / name).mkdir(exist_ok=True)
                (path.parent / name / path.name).write_bytes(path.read_bytes())
            path.unlink()
    return root, config


@pytest.mark.parametrize('format_only', [False, True])
def test_maps_of_equal_names_are_refused(folders, format_only):
    root, config = folders
    config.test_evaluator.update(output_dir=str(root / 'maps'), format_only=format_only)
    with pytest.raises(UserError, match=r'4 images have 2 different names .*dlc-mmseg predict'):
        build(config).test()
    assert not list((root / 'maps').iterdir())
    config.val_evaluator.update(output_dir=str(root / 'maps'))
    with pytest.raises(UserError, match=r'val_evaluator\.output_dir'):
        build(config).val()
    config.default_hooks.preflight.mode = 'off'
    build(config).test()
    assert len(list((root / 'maps').iterdir())) == 2  # MMSegmentation's fault, which this is about


def test_maps_of_different_names_are_written(pair):
    root, config = pair
    config.test_evaluator.update(output_dir=str(root / 'maps'))
    build(config).test()
    assert len(list((root / 'maps').iterdir())) == 2


def test_pictures_of_equal_names_are_numbered(folders, logged):
    root, config = folders
    config.visualizer.update(save_dir=str(root / 'shown'), vis_backends=[{'type': 'LocalVisBackend'}])
    config.default_hooks.visualization = {'type': 'SegVisualizationHook', 'draw': True, 'interval': 1}
    build(config).test()
    assert [text for level, text in logged if level == logging.WARNING] == [
        'Images share file names: their pictures are numbered in the order of the images'
    ]
    assert len(list((root / 'shown').rglob('test_*.png'))) == 4
