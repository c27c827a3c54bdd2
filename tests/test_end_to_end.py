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


def call(*command, cwd, ok=True):
    environment = {**os.environ, 'PATH': f'{PROGRAMS}{os.pathsep}{os.environ.get("PATH", "")}', 'OMP_NUM_THREADS': '1'}
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
        'model.transition.num_points=300',
        'default_hooks.logger.interval=1',
        'custom_hooks.0.interval=2',
        'custom_hooks.1.interval=2',
    ]


@pytest.mark.slow
def test_train_and_test_through_mim(workplace):
    config = 'configs/dlc_demo.py'
    trained = call(
        'mim', 'train', 'mmsegmentation', config, '--gpus', '0', '--work-dir', 'work', *options(), cwd=workplace
    )
    assert 'mix.decode.loss_forward_corrected' in trained
    assert 'transition.consensus' in trained
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


@pytest.mark.slow
def test_wrong_data_stops_before_the_first_iteration(workplace):
    config = 'configs/dlc_demo.py'
    changed = [*options(), 'train_dataloader.dataset.target.data_root=data/nowhere']
    output = call(
        'mim', 'train', 'mmsegmentation', config, '--gpus', '0', '--work-dir', 'failed', *changed, cwd=workplace,
        ok=False,
    )  # fmt: skip
    assert 'Iter(train)' not in output
    assert 'data/nowhere' in output
