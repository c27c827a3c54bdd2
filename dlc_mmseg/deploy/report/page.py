"""One self-contained HTML page about training runs: figures, curves, T, and what the tiles look like."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from PIL import Image as PillowImage
from PIL import features

from dlc_mmseg.deploy.report.curves import Chart, charts_of, comparing_charts, draw_chart
from dlc_mmseg.deploy.report.tiles import Progress, Segmenting, TileScores, choose, draw_tiles
from dlc_mmseg.deploy.report.work_dirs import Run
from dlc_mmseg.errors import UserError
from dlc_mmseg.version import __version__

_FIGURES = {'mIoU': 'mIoU', 'mFscore': 'mean F1', 'aAcc': 'OA'}


class Picture(NamedTuple):
    """A picture of the page: its caption and its content as a data URI."""

    caption: str
    source: str


class Section(NamedTuple):
    """What the page shows of one run."""

    name: str
    folder: str
    summary: dict[str, str]
    charts: list[Picture]
    pictures: list[Picture]


class ClassRow(NamedTuple):
    """IoU of a class in every run, in percent; None where it is not known."""

    name: str
    values: list[float | None]


def build_page(runs: Sequence[Run], *, tiles: int, device: str, progress: Progress) -> tuple[str, list[str]]:
    """Write the page.

    Args:
        runs: At least one.
        tiles: Tiles that are predicted to find the best, the median and the worst; 0 predicts nothing.
        device: Torch device of the predictions.
        progress: Shows how far these are.

    Returns:
        The page, and notes on what it lacks, which stand in it too.
    """
    pictures, notes = _tile_pictures(runs, tiles, device, progress) if tiles else ([], [])
    context = {
        'title': f'Training report: {", ".join(run.name for run in runs)}',
        'version': __version__,
        'made': datetime.now().strftime('%Y-%m-%d %H:%M'),
        'runs': runs,
        'figures': _FIGURES,
        'measured': any(run.last('mIoU') is not None for run in runs),
        'class_rows': _class_rows(runs),
        'charts': [_chart(chart) for chart in comparing_charts(runs)],
        'sections': [_section(run) for run in runs],
        'tiles': pictures,
        'notes': notes,
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    source = resources.files('dlc_mmseg.deploy.report').joinpath('page.html.j2').read_text(encoding='utf-8')
    return environment.from_string(source).render(context), notes


def _class_rows(runs: Sequence[Run]) -> list[ClassRow]:
    names = list(dict.fromkeys(name for run in runs for name in run.classes))
    return [ClassRow(name, [run.last(f'IoU.{name}') for run in runs]) for name in names]


def _section(run: Run) -> Section:
    charts = [_chart(chart) for chart in charts_of(run)]
    pictures = []
    steps = run.pictures.get('transition', {})
    if steps:
        last = max(steps)
        pictures.append(_file(f'Transition matrix after {last} iterations', steps[last]))
    steps = run.pictures.get('pseudo_labels', {})
    for step in sorted({min(steps), max(steps)} if steps else ()):
        pictures.append(_file(f'Pseudo-labels after {step} iterations', steps[step]))
    return Section(run.name, str(run.folder), run.summary, charts, pictures)


def _tile_pictures(runs: Sequence[Run], tiles: int, device: str, progress: Progress) -> tuple[list[Picture], list[str]]:
    """Best, median and worst tiles, of all runs together where they segment the same images."""
    scored: list[tuple[Run, Segmenting, TileScores]] = []
    notes = []
    for run in runs:
        try:
            segmenting = Segmenting(run, device)
            scored.append((run, segmenting, segmenting.score(tiles, progress)))
        except UserError as error:
            notes.append(f'No tiles of {run.name}: {error}')
    together = len({tuple(scores.paths.values()) for _, _, scores in scored}) == 1
    groups = [scored] if together else [[entry] for entry in scored]
    return [picture for group in groups if (picture := _tile_picture(group))], notes


def _tile_picture(group: Sequence[tuple[Run, Segmenting, TileScores]]) -> Picture | None:
    """Tiles of runs on the same images, chosen by the last run."""
    run, _, scores = group[-1]
    chosen = choose(scores.scores)
    if not chosen:
        return None
    image = draw_tiles([(other.name, seg) for other, seg, _ in group], chosen, labelled=scores.labelled)
    measure = 'share of pixels right' if scores.labelled else 'mean confidence (there are no labels)'
    values = ', '.join(f'{what} {scores.scores[index]:.2f}' for what, index in chosen.items())
    caption = f'Tiles by {measure} of {run.name}, of {len(scores.scores)} tiles: {values}'
    return Picture(caption, _photo(PillowImage.fromarray(image)))


def _chart(chart: Chart) -> Picture:
    return Picture(chart.title, _uri('svg+xml', draw_chart(chart).encode()))


def _file(caption: str, path: Path) -> Picture:
    with PillowImage.open(path) as image:
        return Picture(caption, _photo(image.convert('RGB')))


def _photo(image: PillowImage.Image) -> str:
    """Small enough for a page that is mailed, where Pillow can write WebP."""
    output = io.BytesIO()
    if features.check('webp'):
        image.save(output, format='WEBP', quality=88, method=4)
        return _uri('webp', output.getvalue())
    image.save(output, format='PNG', optimize=True)
    return _uri('png', output.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f'data:image/{kind};base64,{base64.b64encode(content).decode("ascii")}'
