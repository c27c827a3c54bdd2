"""Files from others stay where they belong, names of every kind work, and nothing goes to the network unasked."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import CheckpointLoader
from PIL import Image
from tiny_domains import dataset_config, write_domain
from tiny_run import run_config, runner_of, write_pair

from dlc_mmseg.cli import main
from dlc_mmseg.datasets import PairedDomainDataset, read_class_statistics
from dlc_mmseg.files.safe_checkpoint import load_checkpoint_file

CUT = ('--clip_size', '32', '--stride_size', '32', '--workers', '1')
TRYING = ("it's a $HOME & (more); `x` #1", 'Größe 東京', '-rf *', 'a\tb')
OUTSIDE = ('../../top_potsdam_2_11_RGB.tif', '/tmp/../top_potsdam_2_11_IRRG.tif', '..\\..\\top_potsdam_2_11_label.tif')


def write_raw(root: Path, *names: str) -> None:
    """Raw ISPRS tiles of 64 x 64 pixels; those called label are white and blue."""
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        if 'label' in name or 'ground_truth' in name:
            pixels[:] = 255
            pixels[:32, :, :2] = 0
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def potsdam(tile: str) -> list[str]:
    folders = {'RGB': '2_Ortho_RGB', 'IRRG': '3_Ortho_IRRG', 'label': '5_Labels_all'}
    return [f'{folder}/top_potsdam_{tile}_{kind}.tif' for kind, folder in folders.items()]


def vaihingen(tile: str) -> list[str]:
    truth = 'ISPRS_semantic_labeling_Vaihingen_ground_truth_COMPLETE'
    folders = ('ISPRS_semantic_labeling_Vaihingen/top', truth)
    return [f'{folder}/top_mosaic_09cm_{tile}.tif' for folder in folders]


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*')}


def test_archives_cannot_write_outside_the_output_folder(tmp_path):
    """Members with `..`, with absolute names and links, at the top and in an archive inside the archive."""
    write_raw(tmp_path / 'in', *potsdam('2_10'), *potsdam('2_13'))
    content = (tmp_path / 'in/2_Ortho_RGB/top_potsdam_2_10_RGB.tif').read_bytes()
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, 'w') as archive:
        for name in OUTSIDE:
            archive.writestr(name, content)
    with zipfile.ZipFile(tmp_path / 'in/evil.zip', 'w') as archive:
        for name in OUTSIDE:
            archive.writestr(name.replace('2_11', '3_11'), content)
        link = zipfile.ZipInfo('2_Ortho_RGB/link.tif')
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, '/etc/passwd')
        archive.writestr('../inner.zip', inner.getvalue())
    before = tree(tmp_path)
    status = main(
        ['convert-potsdam', '--dataset_path', str(tmp_path / 'in'), '--out_dir', str(tmp_path / 'out'), *CUT,
         '--skip_incomplete']
    )  # fmt: skip
    added = tree(tmp_path) - before
    assert added
    assert all(name.split('/')[0] == 'out' for name in added)
    assert not any(path.is_symlink() for path in tmp_path.rglob('*'))
    assert status == 0
    assert not list(Path('/tmp').glob('top_potsdam*'))


@pytest.mark.parametrize('name', TRYING)
def test_converters_take_folders_and_archives_of_any_name(tmp_path, name, monkeypatch):
    root = tmp_path / name
    write_raw(root / 'raw', *vaihingen('area1'), *vaihingen('area11'))
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    arguments = ['convert-vaihingen', '--dataset_path', f'{root}/raw', '--out_dir', f'{root}/out {name}', *CUT]
    assert main(arguments) == 0
    shutil.make_archive(str(root / f'all {name}'), 'zip', root / 'raw')
    assert main([*arguments[:2], f'{root}/all {name}.zip', '--out_dir', f'{root}/zip {name}', *CUT]) == 0
    assert all(path.startswith(f'{name}/') for path in tree(tmp_path) - before)
    tiles = [sorted((root / f'{kind} {name}').rglob('*.png')) for kind in ('out', 'zip')]
    assert len(tiles[0]) == len(tiles[1]) > 0
    statistics = list((root / f'out {name}').rglob('class_statistics.json'))
    assert all(read_class_statistics(path) for path in statistics)


@pytest.mark.parametrize('name', TRYING)
def test_datasets_and_statistics_take_names_of_any_kind(tmp_path, name):
    source = write_domain(tmp_path / name / 'source', [{1: 60, 2: 20}, {1: 100, 2: 20}])
    target = write_domain(tmp_path / name / 'target', 2)
    for folder in (source / 'img', source / 'lbl', target / 'img'):
        (folder / 't01.png').rename(folder / f'{name}.png')
    (target / f'{name}.txt').write_text(f'{name}\n', encoding='utf-8')
    dataset = PairedDomainDataset(
        dataset_config(source),
        dataset_config(target, labelled=False, ann_file=f'{name}.txt'),
        {'min_pixels': 10, 'min_crop_ratio': 0.0},
    )
    assert dataset[0]['source']['data_samples'].gt_sem_seg.data.max() == 2
    assert dataset[1]['target']['data_samples'].img_path.endswith(f'{name}.png')
    assert set(read_class_statistics(source / 'lbl/class_statistics.json')) == {'t00.png', f'{name}.png'}


@pytest.mark.parametrize('name', TRYING)
def test_checkpoints_take_names_of_any_kind(tmp_path, name):
    path = tmp_path / f'{name}.pth'
    torch.save({'a': torch.ones(1)}, path)
    assert load_checkpoint_file(path)['a'] == 1
    assert CheckpointLoader.load_checkpoint(str(path))['a'] == 1


def test_statistics_from_others_name_no_files_but_those_of_the_dataset(tmp_path):
    """They are JSON: nothing in them is run, and names that point elsewhere are dropped, not followed."""
    source = write_domain(tmp_path / 'source', [{1: 60, 2: 20}, {1: 100, 2: 20}])
    target = write_domain(tmp_path / 'target', 2)
    (tmp_path / 'secret').write_text('text', encoding='utf-8')
    entry = {'size': [16, 16], 'counts': {'0': 256}}
    names = ['../../secret', '/etc/passwd', '$(touch x)', '__import__("os").system("true")']
    path = source / 'lbl/class_statistics.json'
    path.write_text(
        json.dumps({
            'format': 'dlc_mmseg class statistics',
            'version': 1,
            'files': dict.fromkeys(names, entry),
        }),
        encoding='utf-8',
    )  # fmt: skip
    os.utime(path, ns=(2**62, 2**62))
    PairedDomainDataset(dataset_config(source), dataset_config(target, labelled=False), {'min_pixels': 10})
    assert {'t00.png', 't01.png'} <= set(read_class_statistics(path))
    assert (tmp_path / 'secret').read_text(encoding='utf-8') == 'text'
    assert not (source / 'lbl/x').exists()


class CalledError(Exception):
    """The network was asked for."""


@pytest.fixture
def no_network(monkeypatch):
    """Any attempt to reach another machine raises."""

    def refuse(*arguments, **_):
        raise CalledError(arguments)

    for name in ('getaddrinfo', 'gethostbyname', 'create_connection'):
        monkeypatch.setattr(socket, name, refuse)
    for name in ('connect', 'connect_ex', 'sendto'):
        monkeypatch.setattr(socket.socket, name, refuse)


def test_the_guard_notices_the_network(no_network, tmp_path, monkeypatch):
    import urllib.request

    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    with pytest.raises(CalledError):
        urllib.request.urlopen('http://127.0.0.1:9')
    with pytest.raises(CalledError):
        CheckpointLoader.load_checkpoint('https://a.b/c.pth')


def test_checking_training_and_testing_need_no_network(no_network, tmp_path):
    write_pair(tmp_path)
    config = run_config(tmp_path, runner_type='PreflightRunner')
    config.default_hooks.preflight = {'type': 'PreflightHook'}
    config.train_cfg.max_iters = 1
    runner_of(config).train()
    config.load_from = str(tmp_path / 'work/iter_1.pth')
    assert runner_of(config).test()
