"""What a work_dir of `mim train` holds: figures over the iterations, pictures, config, checkpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dlc_mmseg.engine.run_summary_hook import SUMMARY_FILE
from dlc_mmseg.errors import UserError

Course = list[tuple[int, float]]
"""Iterations with a figure's value, in order."""


@dataclass(frozen=True)
class Run:
    """A training run as its work_dir tells it.

    Attributes:
        folder: The work_dir.
        name: A short name, unlike that of other runs in the same page.
        summary: What was trained on what, line by line; empty where the run did not write it.
        figures: Every figure over the iterations, by the name it has in ``scalars.json``.
        pictures: Pictures made during training, by name and iteration.
        config_file: The config as it was trained; None where it is missing.
        checkpoint: The last checkpoint; None where there is none.
    """

    folder: Path
    name: str
    summary: dict[str, str]
    figures: dict[str, Course]
    pictures: dict[str, dict[int, Path]]
    config_file: Path | None
    checkpoint: Path | None

    @property
    def classes(self) -> list[str]:
        """Names of the classes that IoU was measured of."""
        return [name.removeprefix('IoU.') for name in self.figures if name.startswith('IoU.')]

    def last(self, figure: str) -> float | None:
        """The last value of a figure; None where it is not known."""
        course = self.figures.get(figure)
        return course[-1][1] if course and course[-1][1] == course[-1][1] else None

    def best(self, figure: str) -> float | None:
        """The largest value of a figure; None where it is not known."""
        known = [value for _, value in self.figures.get(figure, []) if value == value]
        return max(known, default=None)

    def read_config(self) -> Config:
        """The config as it was trained.

        Raises:
            UserError: If it is missing or cannot be read.
        """
        if self.config_file is None:
            raise UserError(self.folder, 'holds no config', 'keep the folder vis_data of the run')
        try:
            return Config.fromfile(self.config_file)
        except Exception as error:  # a config is a program: it may raise anything
            reason = f'cannot be read as a config ({type(error).__name__}: {" ".join(str(error).split())})'
            raise UserError(self.config_file, reason, 'restore it') from error


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read work_dirs.

    Args:
        folders: One of each run.

    Returns:
        The runs, in order.

    Raises:
        UserError: If a folder is named twice, is missing, or holds no training run.
    """
    resolved = [folder.resolve() for folder in folders]
    for number, folder in enumerate(resolved):
        if folder in resolved[:number]:
            raise UserError(folders[number], 'is named twice', 'name every work_dir once')
    return [_read(folder, name) for folder, name in zip(folders, _names(resolved), strict=True)]


def _read(folder: Path, name: str) -> Run:
    if not folder.is_dir():
        raise UserError(folder, 'no such folder', 'give the work_dir of a training run')
    logs = sorted(path for path in folder.glob('*/vis_data') if (path / 'scalars.json').is_file())
    figures = _figures([path / 'scalars.json' for path in logs])
    if not any('loss' in figure for figure in figures):
        remedy = 'give a work_dir of `mim train`: the folder that holds TIME/vis_data/scalars.json'
        raise UserError(folder, 'holds no figures of a training run', remedy)
    summaries = [path.with_name(SUMMARY_FILE) for path in logs if path.with_name(SUMMARY_FILE).is_file()]
    configs = [path / 'config.py' for path in logs if (path / 'config.py').is_file()]
    return Run(
        folder=folder,
        name=name,
        summary=_summary(summaries[-1]) if summaries else {},
        figures=figures,
        pictures=_pictures(logs),
        config_file=configs[-1] if configs else None,
        checkpoint=_checkpoint(folder),
    )


def _figures(files: Sequence[Path]) -> dict[str, Course]:
    """Figures of a run and of those that resumed it, whose iterations count where both have them."""
    courses: dict[str, dict[int, float]] = {}
    for file in files:
        lines = list(_lines(file))
        first = min((line['step'] for line in lines), default=0)
        courses = {name: {step: c[step] for step in c if step < first} for name, c in courses.items()}
        for line in lines:
            for name, value in line.items():
                if isinstance(value, int | float) and name not in ('step', 'iter', 'epoch'):
                    courses.setdefault(name, {})[line['step']] = float(value)
    return {name: sorted(course.items()) for name, course in courses.items() if course}


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    """Lines with a step; the last one may have been cut off by a kill."""
    for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict) and isinstance(content.get('step'), int):
            yield content


def _pictures(logs: Sequence[Path]) -> dict[str, dict[int, Path]]:
    pictures: dict[str, dict[int, Path]] = {}
    for log in logs:
        for path in (log / 'vis_image').glob('*.png'):
            if found := re.fullmatch(r'(.+)_(\d+)', path.stem):
                pictures.setdefault(found[1], {})[int(found[2])] = path
    return {name: dict(sorted(steps.items())) for name, steps in pictures.items()}


def _summary(file: Path) -> dict[str, str]:
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
    except ValueError:
        return {}
    return {str(name): str(text) for name, text in content.items()} if isinstance(content, dict) else {}


def _checkpoint(folder: Path) -> Path | None:
    """The one that MMEngine noted, whose folder may have moved, or that of the most iterations, or the best one."""
    note = folder / 'last_checkpoint'
    noted = Path(note.read_text(encoding='utf-8').strip()).name if note.is_file() else ''
    if noted and (folder / noted).is_file():
        return folder / noted
    for pattern in ('iter_*.pth', 'best_*_iter_*.pth'):
        numbered = {
            int(path.stem.rpartition('_')[2]): path for path in folder.glob(pattern) if path.stem[-1:].isdigit()
        }
        if numbered:
            return numbered[max(numbered)]
    return None


def _names(folders: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as it takes to tell them apart."""
    for count in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ['/'.join(folder.parts[-count:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [str(folder) for folder in folders]
