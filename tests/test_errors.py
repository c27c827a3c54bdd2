"""The one exception type for input a user can correct: three parts, on one line, across processes."""

from __future__ import annotations

import ast
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from dlc_mmseg.checks.report import Problem, Report
from dlc_mmseg.engine.preflight_hook import PreflightError
from dlc_mmseg.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


def refuse(path: Path) -> None:
    raise UserError(path, 'truncated: 3 of 4 bytes', 'download it again; or delete it')


def test_the_message_joins_the_parts_and_the_parts_stay():
    error = UserError(Path('a: b.tif'), 'truncated: 3 bytes', 'download it again; or delete it')
    assert str(error) == 'a: b.tif: truncated: 3 bytes: download it again; or delete it'
    assert (error.where, error.what, error.remedy) == (
        'a: b.tif',
        'truncated: 3 bytes',
        'download it again; or delete it',
    )
    assert isinstance(error, ValueError)


@pytest.mark.parametrize(
    ('where', 'shown'),
    [
        ('raw/tgt/./a.tif', 'raw/tgt/a.tif'),
        ('raw/tgt/.', 'raw/tgt'),
        ('raw//tgt/', 'raw/tgt'),
        ('./a.tif', 'a.tif'),
        ('../raw/./a.tif', '../raw/a.tif'),
        (Path('/raw/a.tif'), '/raw/a.tif'),
        ('s3://raw/./a.tif', 's3://raw/./a.tif'),
        ('train_dataloader.dataset.0', 'train_dataloader.dataset.0'),
        ('', ''),
    ],
)
def test_joined_paths_are_shown_as_people_write_them(where, shown):
    report = Report()
    report.error(where, 'is missing', 'add it')
    report.warning(where, 'is missing', 'add it')
    report.files('error', [str(where)], 'is missing', 'add it')
    shown_in = [UserError(where, 'is missing', 'add it').where, *(problem.where for problem in report.problems)]
    assert set(shown_in) == {shown}


def test_without_one_place_the_message_starts_with_what():
    error = UserError(None, 'classes differ', 'name the same')
    assert error.where is None
    assert str(error) == 'classes differ: name the same'


def test_all_three_parts_are_demanded():
    with pytest.raises(TypeError):
        UserError('a.tif: truncated: download it again')


def test_the_parts_come_back_from_another_process():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('fork')) as pool:
        error = pool.submit(refuse, Path('a.tif')).exception()
    assert type(error) is UserError
    assert (error.where, error.what, error.remedy) == (
        'a.tif',
        'truncated: 3 of 4 bytes',
        'download it again; or delete it',
    )


@pytest.mark.parametrize('cause', [None, "KeyError: 'no such layer'"])
def test_several_problems_stand_on_a_line_each_and_survive_pickling(cause):
    problems = [
        Problem('error', 'model', 'does not build', 'correct it'),
        Problem('error', 'a.png', 'is missing', 'add it'),
    ]
    error = pickle.loads(pickle.dumps(PreflightError(problems, cause)))
    assert isinstance(error, UserError)
    assert error.problems == tuple(problems)
    lines = str(error).splitlines()
    assert lines[: len(lines) - 3] == ([] if cause is None else [cause])
    assert lines[-3].startswith('2 problems to solve before training')
    assert lines[-2:] == ['  model: does not build: correct it', '  a.png: is missing: add it']


def test_no_module_takes_a_message_apart_again():
    """Nothing splits at what joins the parts, nor takes a message of the package's own apart in any other way."""
    taking_apart = {'partition', 'rpartition', 'split', 'rsplit', 'removeprefix', 'removesuffix'}
    for path in sorted((ROOT / 'dlc_mmseg').rglob('*.py')):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            own = isinstance(node, ast.ExceptHandler) and 'UserError' in ast.unparse(node.type or ast.Constant(0))
            for call in (inner for inner in ast.walk(node) if isinstance(inner, ast.Call)):
                name = getattr(call.func, 'attr', '')
                assert not own or name not in taking_apart, f'{path}:{call.lineno}'
                assert name not in taking_apart or not {': ', '; '} & {getattr(a, 'value', '') for a in call.args}, path
