"""The log of a run as a person reads it: what is trained on what, short lines, and nothing repeated as if new."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import re
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest
import toy
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmseg.registry import LOG_PROCESSORS, RUNNERS
from tiny_run import run_config, write_pair

from dlc_mmseg.engine.console import quiet_console
from dlc_mmseg.engine.run_summary_hook import _images


@pytest.fixture(scope='module')
def domains(tmp_path_factory):
    root = tmp_path_factory.mktemp('domains')
    write_pair(root)
    return root


def runtime(root, work_dir, **changes):
    """The tiny run with the parts of `default_runtime.py` that write the log."""
    config = run_config(root, work_dir=str(work_dir), runner_type='PreflightRunner', log_level='INFO', **changes)
    config.log_processor = {'type': 'ReadableLogProcessor', 'by_epoch': False}
    config.default_hooks.run_summary = {'type': 'RunSummaryHook'}
    config.default_hooks.preflight = {'type': 'PreflightHook'}
    config.visualizer.vis_backends = [{'type': 'LocalVisBackend'}]
    for evaluator in filter(None, (config.val_evaluator, config.test_evaluator)):
        evaluator.update(type='ClassIoUMetric', iou_metrics=['mIoU', 'mFscore'])
    return config


def runner_of(config):
    content = deepcopy(config.to_dict())
    name = f'log {id(config)}'
    content.update(experiment_name=name, visualizer={**content['visualizer'], 'name': name})
    return RUNNERS.build(Config(content))


@pytest.fixture(scope='module')
def trained(domains, tmp_path_factory):
    """A run of four iterations whose error of T is measured in the third: its folder and what the console showed."""
    root, console = tmp_path_factory.mktemp('trained'), io.StringIO()
    config = runtime(domains, root)
    config.train_cfg.update(max_iters=4, val_interval=4)
    config.custom_hooks = [{'type': 'TransitionMatrixHook', 'interval': 3}]
    with contextlib.redirect_stdout(console):
        runner_of(config).train()
    return root, console.getvalue()


def test_the_console_says_what_is_trained_and_the_file_everything(trained):
    root, console = trained
    log = next(root.glob('*/*.log')).read_text()
    before = console[: console.index('Iter(train)')]
    assert 'System environment' in log
    assert 'custom_imports = dict(' in log
    assert 'Hooks will be executed' in log
    for part in ('System environment', 'custom_imports', 'LoggerHook', 'The prefix is not set'):
        assert part not in console
    assert before.count('\n') < 20
    summary = before[before.index('what is trained') :]
    assert re.search(r'run +.*: 4 iterations, batch size 2, seed 0', summary)
    assert re.search(r'source +3 images in .*source/img, with labels', summary)
    assert re.search(r'target +4 images in .*target/img, without labels', summary)
    assert re.search(r'validation +every 4 iterations on 2 images in .*validation/img', summary)
    assert re.search(r'classes +3: ground \d+\.\d%, roof \d+\.\d%, car \d+\.\d% of the labelled source pixels', summary)
    assert re.search(r'network +EncoderDecoder \(ToyBackbone, FCNHead\), 0\.0 million parameters, 3 channels', summary)
    for part in ('class mixing', 'masked consistency', 'corrected with T (volume, convexity)', 'the student predicts'):
        assert part in summary
    assert str(root) in summary
    assert json.loads(next(root.glob('*/run.json')).read_text())['target'].startswith('4 images in ')


def test_a_line_holds_the_figures_that_matter(trained):
    root, console = trained
    lines = [line for line in console.splitlines() if 'Iter(train)' in line]
    assert [re.search(r'\[(\d)/4\]', line)[1] for line in lines] == ['1', '2', '3', '4']
    scalars = [json.loads(line) for line in next(root.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    for line, figures in zip(lines, [figures for figures in scalars if 'loss' in figures], strict=True):
        assert len(line) < 240
        shown = re.search(r'loss (\S+) \(source (\S+), mix (\S+), masked (\S+)\)', line)
        assert float(shown[1]) == pytest.approx(figures['loss'], abs=6e-4)
        assert float(shown[1]) == pytest.approx(sum(map(float, shown.groups()[1:])), abs=2.1e-3)
        assert f'pseudo-labels weigh {figures["target.pseudo_weight"]:.2f}' in line
        assert f'diagonal of T {figures["transition.diagonal"]:.2f}' in line
        assert 's/iteration' in line
        assert ' left' in line
        assert 'transition.residual' in figures
        assert 'transition.residual' not in line


def test_the_error_of_t_stands_only_where_it_was_measured(trained):
    root, console = trained
    scalars = [json.loads(line) for line in next(root.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    assert {figures['step'] for figures in scalars if 'transition.error' in figures} == {3}
    assert [bool(re.search(r'error of T \d', line)) for line in console.splitlines() if 'Iter(train)' in line] == [
        False, False, True, False,
    ]  # fmt: skip


def test_the_error_is_kept_where_no_line_is_due(domains, tmp_path):
    config = runtime(domains, tmp_path)
    config.train_cfg.update(max_iters=4, val_interval=4)
    config.default_hooks.logger.interval = 4
    config.custom_hooks = [{'type': 'TransitionMatrixHook', 'interval': 3}]
    runner_of(config).train()
    scalars = [json.loads(line) for line in next(tmp_path.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    measured = [figures for figures in scalars if 'transition.error' in figures]
    assert [figures['step'] for figures in measured] == [3]
    assert {'transition.identity_error', 'transition.diagonal.roof'} <= set(measured[0])


def test_validation_and_test_mean_the_same_by_mean_f1(trained, domains, tmp_path, capsys):
    root, console = trained
    scalars = [json.loads(line) for line in next(root.glob('*/vis_data/scalars.json')).read_text().splitlines()]
    figures = next(figures for figures in scalars if 'mFscore' in figures)
    line = next(line for line in console.splitlines() if 'Iter(val) [2/2]  mIoU' in line)
    assert f'mIoU {figures["mIoU"]:.2f}  mean F1 {figures["mFscore"]:.2f}  OA {figures["aAcc"]:.2f}' in line
    assert {'IoU.ground', 'IoU.roof', 'IoU.car'} <= set(figures)
    config = runtime(domains, tmp_path / 'tested', load_from=str(root / 'iter_4.pth'))
    runner_of(config).test()
    assert f'mean F1 {figures["mFscore"]:.2f}' in capsys.readouterr().out


@pytest.mark.parametrize(
    ('folder', 'shown'),
    [('raw/tgt/.', 'raw/tgt'), ('raw/./tgt//', 'raw/tgt'), ('.', '.'), ('', '.'), ('s3://a/./b', 's3://a/./b')],
)
def test_folders_are_shown_as_people_write_them(folder, shown):
    class Images(list):
        def get_data_info(self, index):
            return {'img_path': os.path.join(folder, self[index])}

    assert _images(Images(['a.tif', 'b.tif'])) == f'2 images in {shown}'


@pytest.mark.parametrize('labelled', [True, False])
def test_other_runs_are_summarised_too(domains, tmp_path, capsys, labelled):
    """Source-only training without validation; a plain segmentor on one domain."""
    changes = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
    config = runtime(domains, tmp_path, **changes)
    config.train_cfg = {'type': 'IterBasedTrainLoop', 'max_iters': 1}
    if labelled:
        config.model = toy.segmentor()
        config.model.data_preprocessor = toy.preprocessor()
        config.train_dataloader.dataset = config.train_dataloader.dataset.source
        config.train_dataloader.sampler = {'type': 'InfiniteSampler'}
    else:
        parts = {'class_mix': None, 'masked_consistency': None, 'strong_augmentation': None}
        config.model = toy.dlc(**parts, transition=None, volume_loss=None, convexity_loss=None)
        config.train_dataloader.dataset.rare_class_sampling = None
    runner_of(config).train()
    console = capsys.readouterr().out
    assert re.search(r'validation +none: no labelled target images are named', console)
    assert re.search(r'classes +3: ground, roof, car\n', console)
    assert re.search(r'method +supervised\n' if labelled else r'method +source-only, the student predicts\n', console)
    assert re.search(r'Iter\(train\) \[1/1\]  loss \d+\.\d+  lr', console)


def test_figures_under_hierarchical_names():
    hub = MessageHub('hierarchy')
    for name, value in (('loss', 1.5), ('source.loss_ce', 1.0), ('mix.loss_ce', 0.5), ('lr', 1e-3)):
        hub.update_scalar(f'train/{name}', value)
    loop = SimpleNamespace(dataloader=[0] * 5)
    runner = SimpleNamespace(message_hub=hub, iter=4, max_iters=9, train_loop=loop, _train_loop=loop, model=None)
    processor = LOG_PROCESSORS.build({'type': 'ReadableLogProcessor', 'by_epoch': False, 'log_with_hierarchy': True})
    figures, line = processor.get_log_after_iter(runner, 4, 'train')
    assert figures['train/loss'] == 1.5
    assert line == 'Iter(train) [5/9]  loss 1.500 (source 1.000, mix 0.500)  lr 1.0e-03'


def test_without_a_file_the_console_shows_everything(tmp_path, capsys):
    for name, file in (('alone', None), ('with file', str(tmp_path / 'a.log'))):
        logger = MMLogger(name, log_file=file)
        quiet_console(logger)
        logger.info('Config:\nmodel = dict()')
        logger.log(logging.WARNING, 'Config of the user')
    shown = capsys.readouterr().out
    assert shown.count('model = dict()') == 1
    assert shown.count('Config of the user') == 2
    assert 'model = dict()' in (tmp_path / 'a.log').read_text()


def test_tensorboard_is_one_line_of_the_runtime(domains, tmp_path):
    """Without its comment sign the line adds the backend, which then writes the figures and the pictures."""
    content = (Path(__file__).parents[2] / 'configs' / '_base_' / 'default_runtime.py').read_text()
    line = next(line for line in content.splitlines() if 'TensorboardVisBackend' in line)
    (tmp_path / 'runtime.py').write_text(content.replace(line, line.removeprefix('# ')))
    backends = Config.fromfile(tmp_path / 'runtime.py').visualizer.vis_backends
    assert [backend.type for backend in backends] == ['LocalVisBackend', 'TensorboardVisBackend']
    pytest.importorskip('tensorboard')
    config = runtime(domains, tmp_path / 'work')
    config.visualizer.vis_backends = backends
    config.custom_hooks = [{'type': 'TransitionMatrixHook', 'interval': 2}]
    runner_of(config).train()
    (events,) = (tmp_path / 'work').glob('*/vis_data/events.out.tfevents.*')
    written = events.read_bytes()
    for name in (b'source.decode.loss_ce', b'transition.error', b'mIoU', b'transition'):
        assert name in written
