"""What importing costs and changes: commands without networks start at once, nothing is replaced unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dlc_mmseg.cli import COMMANDS, WITHOUT_FRAMEWORK

ROOT = Path(__file__).resolve().parents[1]

LIGHT = """
import contextlib, io, sys
from pathlib import Path
import dlc_mmseg_cli

raw, out = sys.argv[1:3]
def run(*arguments):
    sys.argv = ['dlc-mmseg', *arguments]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            dlc_mmseg_cli.console()
    except SystemExit as ended:
        assert ended.code == 0, arguments
    heavy = {'torch', 'kornia', 'mmengine', 'mmcv', 'mmseg'} & set(sys.modules)
    assert not heavy, (arguments, heavy)

run('--help')
run('--version')
from dlc_mmseg.cli import WITHOUT_FRAMEWORK
for command in WITHOUT_FRAMEWORK:
    run(command, '--help')
run('configs')
run('make-demo-data', '--out_dir', raw, '--size', '64', '--potsdam_tiles', '1', '1', '--vaihingen_tiles', '1', '0')
run('convert-potsdam', '--dataset_path', raw + '/potsdam', '--out_dir', out, '--clip_size', '32', '--stride_size', '32')
assert list(Path(out).rglob('class_statistics.json'))

import dlc_mmseg
dlc_mmseg.register()
from mmseg.registry import MODELS
assert MODELS.get('DLCSegmentor') is not None
assert 'DLC_MMSEG_REGISTER' not in __import__('os').environ
"""

FOREIGN_CONFIG = """
custom_imports = dict(imports=['dlc_mmseg'], allow_failed_imports=False)
default_scope = 'mmseg'
loss = dict(type='TransitionVolumeLoss', loss_weight=0.1)
"""

FOREIGN = """
import sys
from dlc_mmseg.functional import log_volume  # before MMEngine: the classes are registered all the same

import torch
from mmengine import fileio
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from mmseg.apis import MMSegInferencer
from mmseg.registry import DATASETS, HOOKS, MODELS

def places():
    schemes = {prefix: loader.__module__ for prefix, loader in CheckpointLoader._schemes.items()}
    return set(schemes.values()), type(fileio.get_file_backend('a.pth')).__module__

assert log_volume(torch.eye(2)) == 0
config = Config.fromfile(sys.argv[1])
loss = MODELS.build(config.loss)
assert type(loss).__module__.startswith('dlc_mmseg.')
assert DATASETS.get('PairedDomainDataset') is not None
assert HOOKS.get('PreflightHook') is not None
loaders, backend = places()
assert all(name.startswith('mmengine.') for name in loaders), loaders
assert backend.startswith('mmengine.'), backend
assert MMSegInferencer._inputs_to_list.__module__.startswith('mmengine.')

import dlc_mmseg.safe_files
loaders, backend = places()
assert loaders == {'dlc_mmseg.files.checkpoint_loaders'}, loaders
assert backend == 'dlc_mmseg.files.local_backend', backend
assert MMSegInferencer._inputs_to_list.__module__ == 'dlc_mmseg.datasets.inferencer_folder'
"""


def run(code: str, *arguments: Path | str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != 'DLC_MMSEG_REGISTER'}
    command = [sys.executable, '-c', code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_commands_without_networks_import_no_framework(tmp_path):
    assert set(WITHOUT_FRAMEWORK) < set(COMMANDS)
    run(LIGHT, tmp_path / 'raw', tmp_path / 'out')


def test_a_foreign_project_that_borrows_a_loss_keeps_its_loaders_and_files(tmp_path):
    (tmp_path / 'foreign.py').write_text(FOREIGN_CONFIG)
    run(FOREIGN, tmp_path / 'foreign.py')
