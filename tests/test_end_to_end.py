"""The commands of the README, from drawn data to a tested model, at the smallest size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent


def call(*command, cwd, ok=True, **variables):
    path = f'{PROGRAMS}{os.pathsep}{os.environ.get("PATH", "")}'
    environment = {**os.environ, 'PATH': path, 'OMP_NUM_THREADS': '1', **variables}
    done = subprocess.run(
        [str(PROGRAMS / command[0]), *map(str, command[1:])],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, output[-4000:]
    return output


@pytest.fixture(scope='module')
def workplace(tmp_path_factory):
    """Demo data at the smallest size, cut into tiles of 64 px, beside a copy of the configs."""
    place = tmp_path_factory.mktemp('a user')
    call('dlc-mmseg', 'configs', '--copy', 'configs', cwd=place)
    call('dlc-mmseg', 'make-demo-data', '--out_dir', 'raw', '--seed', '1', '--size', '256', cwd=place)
    cut = ('--clip_size', '64', '--stride_size', '64')
    for city in ('potsdam', 'vaihingen'):
        bands = ('--bands', 'irrg') if city == 'potsdam' else ()
        call(
            'dlc-mmseg', f'convert-{city}', '--dataset_path', f'raw/{city}', '--out_dir', f'data/{city}', *cut, *bands,
            cwd=place,
        )  # fmt: skip
    return place


def options(iterations=4):
    source, target = 'data/potsdam/irrg_64_s64', 'data/vaihingen/irrg_64_s64'
    return [
        '--cfg-options',
        f'train_dataloader.dataset.source.data_root={source}',
        f'train_dataloader.dataset.target.data_root={target}',
        f'val_dataloader.dataset.data_root={target}',
        f'test_dataloader.dataset.data_root={target}',
        f'train_cfg.max_iters={iterations}',
        f'train_cfg.val_interval={iterations}',
        'train_dataloader.batch_size=2',
        'default_hooks.logger.interval=1',
        'model.warmup_iterations=1',
        'custom_hooks.0.interval=2',
        'custom_hooks.1.interval=2',
    ]


@pytest.mark.slow
def test_check_train_test_and_resume(workplace):
    config = 'configs/dlc_demo.py'
    assert ', no errors in ' in call('dlc-mmseg', 'check', config, *options(), cwd=workplace)
    trained = call(
        'mim', 'train', 'mmsegmentation', config, '--gpus', '0', '--work-dir', 'work', *options(), cwd=workplace
    )
    assert 'Iter(train) [4/4]  loss ' in trained
    assert trained[: trained.index('Iter(train)')].count('\n') < 40  # what is trained on what, not the whole config
    (scalars,) = (workplace / 'work').glob('*/vis_data/scalars.json')
    assert 'mix.decode.loss_forward_corrected' in scalars.read_text()
    assert 'transition.residual' in scalars.read_text()
    checkpoint = workplace / 'work' / 'iter_4.pth'
    tested = call(
        'mim', 'test', 'mmsegmentation', config, '--checkpoint', checkpoint, '--gpus', '0', '--work-dir', 'tested',
        '--show-dir', 'shown', *options(), cwd=workplace,
    )  # fmt: skip
    assert 'mIoU' in tested
    metrics = json.loads(next((workplace / 'tested').glob('*/*.json')).read_text())
    assert {'mIoU', 'mFscore', 'aAcc'} <= set(metrics)
    pictures = {path.name for path in (workplace / 'work').glob('*/vis_data/vis_image/*.png')}
    assert {'pseudo_labels_2.png', 'transition_2.png', 'pseudo_labels_4.png', 'transition_4.png'} <= pictures
    validation_tiles = list(workplace.glob('data/vaihingen/*/img_dir/val/*.png'))
    assert len(list((workplace / 'shown').rglob('*.png'))) == len(validation_tiles)
    resumed = call(
        'mim', 'train', 'mmsegmentation', config, '--gpus', '0', '--work-dir', 'work', '--resume', *options(6),
        cwd=workplace,
    )  # fmt: skip
    assert 'Iter(train) [4/6]' not in resumed
    assert 'Iter(train) [5/6]' in resumed
    assert (workplace / 'work' / 'iter_6.pth').is_file()


@pytest.mark.slow
def test_two_processes_through_mim(workplace):
    """The launcher's command as it is; MMEngine's own demands for GPUs are all that is taken out."""
    (workplace / 'without_gpus.py').write_text('import torch\ntorch.cuda.set_device = print\n')
    (workplace / 'configs' / 'two_processes.py').write_text(
        "_base_ = './dlc_demo.py'\n"
        "custom_imports = dict(imports=['dlc_mmseg', 'without_gpus'], allow_failed_imports=False)\n"
        "env_cfg = dict(dist_cfg=dict(backend='gloo'))\n"
    )
    output = call(
        'mim', 'train', 'mmsegmentation', 'configs/two_processes.py', '--launcher', 'pytorch', '--gpus', '2',
        '--work-dir', 'two', *options(2), 'optim_wrapper.accumulative_counts=2',
        cwd=workplace, PYTHONPATH=str(workplace),
    )  # fmt: skip
    (log,) = (workplace / 'two').glob('*/*.log')  # the environment is in the file, not on the console
    assert 'GPU number: 2' in log.read_text()
    assert output.count('Iter(train) [2/2]') == 1  # one process writes the log
    assert (workplace / 'two' / 'iter_2.pth').is_file()


def test_two_nodes_under_slurm(tmp_path):
    """What mim asks Slurm for; there is no Slurm here."""
    (tmp_path / 'srun').write_text('#!/bin/sh\necho "srun $@"\n')
    (tmp_path / 'srun').chmod(0o755)
    output = call(
        'mim', 'train', 'mmsegmentation', ROOT / 'configs' / 'dlc_demo.py', '--gpus', '16', '--gpus-per-node', '8',
        '--launcher', 'slurm', '--partition', 'P', '--srun-args', '--time 9', '--resume',
        cwd=tmp_path, PATH=f'{tmp_path}{os.pathsep}{os.defpath}',
    )  # fmt: skip
    asked = output[output.index('srun -p') :]
    for part in ('--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8', '--time 9', '--launcher slurm --resume'):
        assert part in asked


@pytest.mark.slow
def test_wrong_data_stops_before_the_first_iteration(workplace):
    config = 'configs/dlc_demo.py'
    faults = ['train_dataloader.dataset.target.data_root=data/nowhere', 'model.segmentor.decode_head.num_classes=4']
    output = call(
        'mim', 'train', 'mmsegmentation', config, '--gpus', '0', '--work-dir', 'failed', *options(), *faults,
        cwd=workplace, ok=False,
    )  # fmt: skip
    assert 'Iter(train)' not in output
    problems = output[output.rindex(' problems to solve before training') :]
    assert 'data/nowhere' in problems
    assert 'num_classes: is 4' in problems
