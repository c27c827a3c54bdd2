"""The distributions as a user gets them: what they hold, and the wheel at work far from the checkout."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from dlc_mmseg import _framework
from dlc_mmseg.version import __version__

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('benchmarks', 'configs', 'constraints', 'dlc_mmseg', 'docs', 'tests', 'tools')
OTHERS = {'dlc_mmseg/py.typed', 'dlc_mmseg/deploy/report/page.html.j2', 'dlc_mmseg_cli.py'}
NEITHER_NOR = shutil.ignore_patterns('__pycache__', '*.py[cod]')


def sources(folder: str, *, everything: bool = False) -> set[str]:
    """Python files, or all but compiled ones, of a folder of the checkout, relative to it."""
    paths = (ROOT / folder).rglob('*' if everything else '*.py')
    return {p.relative_to(ROOT / folder).as_posix() for p in paths if p.is_file() and '__pycache__' not in p.parts}


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith('PYTHON')}
    return subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope='module')
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel made from that sdist; built from a copy, since a build writes beside its sources."""
    folder = tmp_path_factory.mktemp('dist')
    copy = tmp_path_factory.mktemp('checkout')
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
        elif path.name in FOLDERS:
            shutil.copytree(path, copy / path.name, ignore=NEITHER_NOR)
    done = run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', folder, copy, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope='module')
def wheel(dist: Path) -> Path:
    (path,) = dist.glob('*.whl')
    return path


def test_sdist_holds_what_building_and_testing_need(dist):
    (path,) = dist.glob('*.tar.gz')
    with tarfile.open(path) as archive:
        names = {name.partition('/')[2] for name in archive.getnames()}
    for folder in ('configs', 'dlc_mmseg', 'tests', 'tools'):
        assert {f'{folder}/{name}' for name in sources(folder)} <= names
    assert {
        'Makefile',
        'constraints/test.txt',
        'model-index.yml',
        'README.md',
        'CHANGELOG.md',
        'dlc_mmseg_cli.py',
    } <= names
    assert {'docs/report.md'} <= names
    assert {'LICENSE', 'NOTICE', 'CITATION.cff', 'CONTRIBUTING.md'} <= names


def test_wheel_holds_the_package_and_the_configs_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {'dlc_mmseg_cli.py', *(f'dlc_mmseg/{name}' for name in sources('dlc_mmseg'))}
    expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / 'dlc_mmseg').rglob('*.j2')}
    expected |= {f'dlc_mmseg/configs/{name}' for name in sources('configs', everything=True)}
    info = f'dlc_mmseg-{__version__}.dist-info/'
    assert {name for name in names if not name.startswith(info)} == expected | OTHERS
    assert {f'{info}licenses/LICENSE', f'{info}licenses/NOTICE', f'{info}entry_points.txt'} <= names


def test_the_extras_ask_for_what_the_import_check_accepts(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read(f'dlc_mmseg-{__version__}.dist-info/METADATA').decode())
    assert metadata['License-Expression'] == 'Apache-2.0'
    requirements = [Requirement(text) for text in metadata.get_all('Requires-Dist')]
    for extra, framework in (('onedl', _framework.ONEDL), ('openmmlab', _framework.OPENMMLAB)):
        bounds = {
            requirement.name: requirement.specifier
            for requirement in requirements
            if requirement.marker is not None and requirement.marker.evaluate({'extra': extra})
        }
        for name, specifier in framework.items():
            assert bounds[name] == SpecifierSet(specifier)


@pytest.fixture(scope='module')
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a new environment that has the wheel and nothing else."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, symlinks=os.name != 'nt')
    commands = folder / ('Scripts' if os.name == 'nt' else 'bin')
    pip = (sys.executable, '-m', 'pip', '--disable-pip-version-check', '--python', commands / 'python')
    done = run(*pip, 'install', '--no-deps', '--no-index', wheel, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return commands


@pytest.fixture(scope='module')
def packages(installed: Path) -> Path:
    """The folder of installed packages of that environment."""
    done = run(installed / 'python', '-c', 'import site; print(site.getsitepackages()[0])', cwd=installed)
    return Path(done.stdout.strip())


def last_line_of_failed_import(installed: Path, cwd: Path) -> str:
    done = run(installed / 'python', '-c', 'import dlc_mmseg', cwd=cwd)
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def test_without_a_framework_importing_says_what_to_install(installed, tmp_path):
    line = last_line_of_failed_import(installed, tmp_path)
    assert line.startswith('ImportError: dlc_mmseg needs MMSegmentation 1.x')
    assert 'pip install "onedl-mmengine' in line


def test_with_both_frameworks_importing_says_what_to_remove(installed, packages, tmp_path):
    folders = [packages / f'{name}-2.1.0.dist-info' for name in ('mmcv', 'onedl_mmcv')]
    for folder in folders:
        folder.mkdir()
        name = folder.name.partition('-')[0].replace('_', '-')
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 2.1.0\n')
    try:
        line = last_line_of_failed_import(installed, tmp_path)
    finally:
        for folder in folders:
            shutil.rmtree(folder)
    assert 'both OneDL and OpenMMLab' in line
    assert 'pip uninstall -y onedl-mmcv mmcv, then' in line


LOAD = """
import sys
from pathlib import Path
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
import dlc_mmseg

assert Path(dlc_mmseg.__file__).is_relative_to(sys.prefix), dlc_mmseg.__file__
init_default_scope('mmseg')
for path in sorted(Path('configs').glob('*.py')):
    config = Config.fromfile(path)
    assert config.custom_imports.imports == ['dlc_mmseg', 'dlc_mmseg.safe_files'], path
    print(path.name)
MODELS.build(Config.fromfile('configs/dlc_demo.py').model)
"""


def test_configs_are_copied_and_load_in_an_empty_folder(installed, packages, tmp_path):
    # The framework of this environment, without its .pth files: an editable installation of the checkout stays unseen.
    (packages / 'framework.pth').write_text('\n'.join(site.getsitepackages()) + '\n')
    done = run(installed / 'dlc-mmseg', 'configs', '--copy', 'configs', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    copied = {p.relative_to(tmp_path / 'configs').as_posix() for p in tmp_path.rglob('*') if p.is_file()}
    assert copied == sources('configs', everything=True)
    done = run(installed / 'python', '-c', LOAD, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) >= {name for name in sources('configs') if '/' not in name}
