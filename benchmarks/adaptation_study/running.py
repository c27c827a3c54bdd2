"""Training of one run in processes of its own, and the figures it leaves behind."""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config

from adaptation_study.results import Identity, Result, Run
from adaptation_study.student_figures import STUDENT_FILE
from adaptation_study.true_transition import COURSE_FILE
from adaptation_study.variants import compose, with_absolute_paths


class Place(NamedTuple):
    """Where runs find and leave things.

    Attributes:
        repository: The checkout with data and results.
        code: A copy of the committed code, which trains whatever is being edited meanwhile.
        work_dir: Folder of logs and checkpoints.
        commit: Commit of the code.
        package: Hash of the package's folder in it.
        gpus: Number of GPUs of a run, 0 for the CPU.
        threads: Threads of a run.
    """

    repository: Path
    code: Path
    work_dir: Path
    commit: str
    package: str
    gpus: int
    threads: int


class RunFailedError(RuntimeError):
    """A run that stopped without figures."""


_running: set[subprocess.Popen[bytes]] = set()
_stopping = threading.Event()


def stop_all() -> None:
    """End all training processes that this process has started; no others start."""
    _stopping.set()
    for process in list(_running):
        try:
            os.killpg(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


def train(run: Run, place: Place, identity: Identity) -> Result:
    """Train a run, or go on with one that was interrupted, and gather its figures.

    Args:
        run: The run.
        place: Where.
        identity: Fingerprints of its config and data.

    Raises:
        RunFailedError: If it stops, or another process is at it.
    """
    key = f'{identity.config}-{identity.data}-{place.package[:8]}'
    folder = place.work_dir / run.data / run.variant / f'seed{run.seed}' / key
    folder.mkdir(parents=True, exist_ok=True)
    with _claimed(folder) as claim:
        config = with_absolute_paths(compose(run.data, run.variant, place.code).to_dict(), place.repository)
        config['randomness'] = {**config['randomness'], 'seed': run.seed}
        config['custom_hooks'] = [*config['custom_hooks'], {'type': 'StudentFiguresHook'}]
        Config(config).dump(str(folder / 'config.py'))
        resumed = any(folder.glob('iter_*.pth'))
        started = time.monotonic()
        _train(folder, place, claim)
        return gather(run, folder, place, identity, time.monotonic() - started, resumed)


def _train(folder: Path, place: Place, claim: int) -> None:
    programs = Path(sys.executable).parent
    command = [programs / 'mim', 'train', 'mmsegmentation', folder / 'config.py', '--gpus', str(place.gpus)]
    command += ['--work-dir', folder, '--resume']
    environment = {
        **os.environ,
        'PATH': os.pathsep.join([str(programs), os.environ.get('PATH', '')]),
        'PYTHONPATH': os.pathsep.join([str(place.code), str(place.code / 'benchmarks')]),
        'OMP_NUM_THREADS': str(place.threads),
    }
    log = folder / 'log.txt'
    with log.open('ab') as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=place.code,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[claim],  # the claim lasts as long as the training, whatever becomes of this process
        )
        _running.add(process)
        if _stopping.is_set():
            stop_all()
        status = process.wait()
        _running.discard(process)
    if status:
        lines = log.read_text(encoding='utf-8', errors='replace').strip().splitlines()
        raise RunFailedError(f'stopped with status {status}, see {log}: ' + ' | '.join(lines[-3:])[-400:])


def gather(run: Run, folder: Path, place: Place, identity: Identity, seconds: float, resumed: bool) -> Result:
    """Figures of a finished run.

    Args:
        run: The run.
        folder: Its work folder.
        place: Where it ran.
        identity: Fingerprints of its config and data.
        seconds: Wall-clock time.
        resumed: Whether it went on after an interruption.

    Raises:
        RunFailedError: If its last iteration was not validated.
    """
    iterations = int(Config.fromfile(folder / 'config.py').train_cfg.max_iters)
    validated = validations(folder)
    if iterations not in validated:
        raise RunFailedError(f'{folder}: no validation after the last iteration {iterations}')
    last = validated[iterations]
    mean_f1 = last.get('mF1', last.get('mFscore'))  # runs of earlier versions wrote both, and meant the first
    student = next(iter(json_lines(folder / STUDENT_FILE)), {})
    course = {line['iteration']: line for line in json_lines(folder / COURSE_FILE)}
    return Result(
        **run._asdict(),
        last={'mIoU': _rounded(last['mIoU']), 'mF1': _rounded(mean_f1), 'OA': _rounded(last['aAcc'])},
        class_iou=_of_classes(last, 'IoU'),
        predicted_shares=_of_classes(last, 'predicted'),
        labelled_shares=_of_classes(last, 'labelled'),
        student_miou=_rounded(student['mIoU']) if student else None,
        student_class_iou=_of_classes(student, 'IoU'),
        best_miou=_rounded(max(line['mIoU'] for line in validated.values())),
        iterations=iterations,
        transition=[course[iteration] for iteration in sorted(course)],
        fingerprint=identity.config,
        data_fingerprint=str(identity.data),
        commit=place.commit,
        code=place.package,
        seconds=round(seconds, 1),
        resumed=resumed,
        threads=place.threads,
        machine=machine(),
    )


def validations(folder: Path) -> dict[int, dict[str, Any]]:
    """Figures of every validation of a run, by iteration.

    Args:
        folder: Its work folder.
    """
    lines = (line for path in sorted(folder.glob('*/vis_data/scalars.json')) for line in json_lines(path))
    return {line['step']: line for line in lines if 'mIoU' in line}


def _of_classes(figures: Mapping[str, float], title: str) -> dict[str, float | None]:
    """Figures of one kind by class, None where there is none."""
    return {
        name.removeprefix(f'{title}.'): None if math.isnan(value) else _rounded(value)
        for name, value in figures.items()
        if name.startswith(f'{title}.')
    }


def machine() -> str:
    """Processor, cores and versions."""
    name = platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        models = [line.partition(':')[2].strip() for line in cpuinfo.read_text().splitlines() if 'model name' in line]
        name = models[0] if models else name
    device = f', {torch.cuda.get_device_name()}' if torch.cuda.is_available() else ''
    return f'{name}, {os.cpu_count()} cores{device}, torch {torch.__version__}'


def _rounded(value: float) -> float:
    return round(float(value), 2)


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Lines of a JSON lines file; the last one may have been cut off by a kill.

    Args:
        path: The file; it need not exist.
    """
    found = []
    for line in path.read_text(encoding='utf-8').splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


@contextmanager
def _claimed(folder: Path) -> Iterator[int]:
    """Keep other processes away from a run; the system lets go of it however its processes end."""
    with (folder / 'lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunFailedError(f'{folder}: another process is at it') from error
        yield file.fileno()
