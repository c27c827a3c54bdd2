"""Importing the package: what is checked first, what is registered, and which way the imports point."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from mmseg import registry

import dlc_mmseg
from dlc_mmseg import _framework

ROOT = Path(__file__).resolve().parents[1]
ONEDL = {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6', 'onedl-mmsegmentation': '1.4.2'}
OPENMMLAB = {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmsegmentation': '1.2.2'}


def pretend(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str]) -> None:
    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(_framework.metadata, 'version', version)


@pytest.mark.parametrize('installed', [ONEDL, OPENMMLAB, ONEDL | {'onedl-mmcv': '2.4.0rc1'}])
def test_one_complete_framework_is_accepted(monkeypatch, installed):
    pretend(monkeypatch, installed)
    _framework.check_framework()


@pytest.mark.parametrize(
    ('installed', 'expected'),
    [
        ({}, ['finds none', 'pip install "onedl-mmengine>=0.10.12,<1" "onedl-mmcv', '"onedl-mmsegmentation']),
        (ONEDL | OPENMMLAB, ['both', 'mmcv 2.1.0', 'pip uninstall -y onedl-mmengine', ' mmsegmentation, then']),
        (ONEDL | {'mmengine': '0.10.7'}, ['both', 'mmengine 0.10.7', 'then pip install "onedl-mmengine']),
        (ONEDL | {'mmcv-full': '1.7.2'}, ['both', 'mmcv-full 1.7.2', 'pip uninstall']),
        (
            {'onedl-mmengine': '0.10.12', 'onedl-mmcv': '2.3.6'},
            ['not onedl-mmsegmentation', 'pip install "onedl-mmsegmentation>=1.4.2,<2"'],
        ),
        (OPENMMLAB | {'mmcv-lite': '2.1.0'}, ['mmcv-lite', 'pip uninstall -y mmcv-lite, then pip install "mm']),
        (OPENMMLAB | {'mmsegmentation': '0.30.0'}, ['finds 0.30.0', 'pip install "mmsegmentation>=1.2.2,<2"']),
        (OPENMMLAB | {'mmcv': '2.2.0'}, ['needs mmcv>=2.1.0,<2.2.0', 'finds 2.2.0']),
        (ONEDL | {'onedl-mmengine': '0.10.9'}, ['onedl-mmengine>=0.10.12', 'finds 0.10.9']),
    ],
)
def test_any_other_state_says_in_one_line_what_to_do(monkeypatch, installed, expected):
    pretend(monkeypatch, installed)
    with pytest.raises(ImportError) as caught:
        _framework.check_framework()
    message = str(caught.value)
    assert '\n' not in message
    for part in expected:
        assert part in message


def test_the_check_speaks_before_anything_heavy_is_imported():
    code = (
        'import sys; from importlib import metadata\n'
        'def version(name): raise metadata.PackageNotFoundError(name)\n'
        'metadata.version = version\n'
        'try: import dlc_mmseg\n'
        'except ImportError as error: print(error)\n'
        'print(sorted({"torch", "numpy", "mmengine", "mmcv", "mmseg", "kornia"} & set(sys.modules)))\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True)
    message, modules = done.stdout.splitlines()
    assert message.startswith('dlc_mmseg needs MMSegmentation')
    assert modules == '[]'


@pytest.mark.parametrize(
    ('kind', 'name'),
    [
        ('MODELS', 'DLCSegmentor'),
        ('MODELS', 'MeanTeacherSegmentor'),
        ('MODELS', 'PairedDomainDataPreprocessor'),
        ('MODELS', 'NoiseTransitionMatrix'),
        ('MODELS', 'ForwardCorrectedCrossEntropyLoss'),
        ('MODELS', 'TransitionVolumeLoss'),
        ('MODELS', 'TransitionConvexityLoss'),
        ('DATASETS', 'PairedDomainDataset'),
    ],
)
def test_importing_registers(kind, name):
    assert getattr(registry, kind).get(name).__module__.startswith(dlc_mmseg.__name__)


ALLOWED = {
    'functional': {'functional'},
    'files': {'files'},
    'models': {'functional', 'files', 'models'},
    'datasets': {'functional', 'files', 'datasets'},
    'checks': {'functional', 'files', 'datasets', 'checks'},
    'converters': {'functional', 'files', 'datasets', 'converters'},
    'engine': {'functional', 'files', 'models', 'datasets', 'checks', 'engine'},
    'deploy': {'functional', 'files', 'models', 'datasets', 'checks', 'engine', 'deploy'},
    'own_data': {'files', 'datasets', 'converters', 'own_data'},
    'commands': {
        *('functional', 'files', 'models', 'datasets', 'engine', 'converters', 'deploy', 'checks', 'own_data'),
        'commands',
    },
}


def own_imports(path: Path) -> set[str]:
    """Names right below the package that a module imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and node.module == 'dlc_mmseg':
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or '').startswith('dlc_mmseg.'):
            names.add(node.module.split('.')[1])
        elif isinstance(node, ast.Import):
            names |= {alias.name.split('.')[1] for alias in node.names if alias.name.startswith('dlc_mmseg.')}
    return names


@pytest.mark.parametrize('layer', ALLOWED)
def test_imports_point_one_way(layer):
    files = sorted((ROOT / 'dlc_mmseg' / layer).rglob('*.py'))
    assert files
    for path in files:
        assert own_imports(path) <= ALLOWED[layer] | {'errors', 'version', 'windows'}, path


ONLY_IN_FILES = {
    'os.replace': 'atomic_writing.py',
    'os.fsync': 'atomic_writing.py',
    'fcntl.flock': 'locking.py',
    'torch.load': 'safe_checkpoint.py',
}


def test_files_are_written_whole_locked_and_unpickled_in_one_place_each():
    found = {}
    for path in sorted((ROOT / 'dlc_mmseg').rglob('*.py')):
        calls = (node for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))) if isinstance(node, ast.Call))
        for name in {ast.unparse(call.func) for call in calls} & ONLY_IN_FILES.keys():
            found.setdefault(name, []).append(path.relative_to(ROOT / 'dlc_mmseg').as_posix())
    assert found == {name: [f'files/{place}'] for name, place in ONLY_IN_FILES.items()}


def documented_layers() -> list[set[str]]:
    """Rooms of CONTRIBUTING's arrow, from left to right."""
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    (arrow,) = (line for line in text.splitlines() if line.startswith('commands -> '))
    return [set(part.strip(' {}').split(', ')) for part in arrow.split('->')]


def test_the_arrow_in_contributing_is_the_one_that_is_held():
    layers = documented_layers()
    assert set.union(*layers) == set(ALLOWED)
    for number, rooms in enumerate(layers):
        below = set().union(*layers[number + 1 :])
        for room in rooms:
            assert ALLOWED[room] - {room} <= below, room


def test_the_map_names_what_there_is():
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| `(\w+)` \|', text, flags=re.MULTILINE)
    folders = {path.name for path in (ROOT / 'dlc_mmseg').iterdir() if (path / '__init__.py').is_file()}
    assert set(rows) == folders == set(ALLOWED)
    segmentors = ROOT / 'dlc_mmseg' / 'models' / 'segmentors'
    named = re.findall(r'([\w/]+\.py)(?::(\w+))?', text)
    assert len(named) > 20
    for name, function in named:
        places = [folder / name for folder in (ROOT, ROOT / 'dlc_mmseg', segmentors) if (folder / name).is_file()]
        assert places, name
        code = places[0].read_text(encoding='utf-8')
        assert not function or re.search(rf'^\s*(def|class) {function}\b', code, flags=re.MULTILINE), (name, function)
