"""Figures over the iterations as line charts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dlc_mmseg.deploy.report.work_dirs import Course, Run
from dlc_mmseg.engine.picture_text import class_captions, font_of

_COLOURS = ['#1f6fb4', '#d1495b', '#2e8b57', '#b8860b', '#7b4fa3', '#3a9fa8', '#8c564b', '#6b7280', '#c2558f']
_NOT_DRAWN = ('time', 'data_time', 'lr', 'memory', 'grad_norm')


class Line(NamedTuple):
    """A line of a chart.

    Attributes:
        label: Name in the legend.
        course: What is drawn.
        dashed: Whether it stands for what is true, beside an estimate of the same colour.
    """

    label: str
    course: Course
    dashed: bool = False


class Chart(NamedTuple):
    """A chart with a title; ``bottom`` and ``top`` bound the values where they are known."""

    title: str
    lines: Sequence[Line]
    bottom: float | None = None
    top: float | None = None


def comparing_charts(runs: Sequence[Run]) -> list[Chart]:
    """Charts with one line per run: target figures, weight of the pseudo-labels, error of T, and label-free scores.

    Args:
        runs: At least one.

    Returns:
        Charts that have something to show.
    """
    percent = {'mIoU': 'Target mIoU (%)', 'mFscore': 'Target mean F1 (%)', 'aAcc': 'Target OA (%)'}
    shares = {'target.pseudo_weight': 'Weight of the pseudo-labels', 'transition.diagonal': 'Mean diagonal of T'}
    charts = [Chart(title, _of_runs(runs, name), 0) for name, title in percent.items()]
    charts += [Chart(title, _of_runs(runs, name), 0, 1) for name, title in shares.items()]
    errors = _of_runs(runs, 'transition.error')
    identity = [line._replace(dashed=True, label='') for line in _of_runs(runs, 'transition.identity_error')]
    charts.append(Chart('Error of T (dashed: of the identity)', [*errors, *identity], 0))
    charts += [Chart(name, _of_runs(runs, name)) for name in _label_free(runs)]
    return [chart for chart in charts if any(line.course for line in chart.lines)]


def charts_of(run: Run) -> list[Chart]:
    """Charts of one run: losses, IoU of each class, and T's diagonal beside the true one.

    Args:
        run: The run.

    Returns:
        Charts that have something to show.
    """
    losses = [Line(name, course) for name, course in _losses(run).items()]
    overlaps = [Line(name, run.figures[f'IoU.{name}']) for name in run.classes]
    prefix = 'transition.diagonal.'
    names = [name.removeprefix(prefix) for name in run.figures if name.startswith(prefix)]
    diagonal = [Line(name, run.figures[prefix + name]) for name in names]
    true = [Line('', run.figures.get(f'transition.true_diagonal.{name}', []), dashed=True) for name in names]
    known = any(line.course for line in true)
    title = f'Diagonal of T, P(pseudo-label = true label){" (dashed: counted)" if known else ""}'
    charts = [
        Chart('Losses', losses, 0),
        Chart('IoU of each class (%)', overlaps, 0),
        Chart(title, [*diagonal, *true], 0, 1),
    ]
    return [chart for chart in charts if any(line.course for line in chart.lines)]


def draw_chart(chart: Chart) -> str:
    """Draw a chart.

    Args:
        chart: The chart; a dashed line takes the colour of the line at the same place among those that are not.

    Returns:
        SVG; letters are outlines, so that it looks alike everywhere.
    """
    figure = Figure(figsize=(5.2, 3.1), layout='constrained')
    axes = figure.add_subplot()
    labels: dict[str, str] = {}
    counters = {True: 0, False: 0}
    for line in chart.lines:
        colour = _COLOURS[counters[line.dashed] % len(_COLOURS)]
        counters[line.dashed] += 1
        if not line.course:
            continue
        steps, values = zip(*line.course, strict=True)
        marker, style = 'o' if len(steps) < 30 else None, '--' if line.dashed else '-'
        axes.plot(steps, values, color=colour, linestyle=style, linewidth=1.6, marker=marker, markersize=3)
        if not line.dashed:
            labels[line.label] = colour
    axes.set_xlim(left=0)
    highest = max((value for line in chart.lines for _, value in line.course if value == value), default=1.0)
    axes.set_ylim(bottom=chart.bottom, top=1.06 * highest if chart.top is None and highest > 0 else chart.top)
    axes.set_xlabel('iteration', fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    if len(chart.lines) > 1:
        _draw_legend(figure, labels)
    output = io.StringIO()
    with matplotlib.rc_context({'svg.fonttype': 'path', 'svg.hashsalt': 'report'}):
        figure.savefig(output, format='svg', metadata={'Date': None})
    return output.getvalue()


def _draw_legend(figure: Figure, labels: dict[str, str]) -> None:
    """Below the axes; names are written as they are, also those that Matplotlib would hide or typeset."""
    captions = class_captions(list(labels))
    handles = [Line2D([], [], color=colour, linewidth=3) for colour in labels.values()]
    columns = 1 if max(map(len, captions), default=0) > 24 else min(len(captions), 3)
    font = font_of(''.join(captions), 7.5)
    places = [f'{number}' for number in range(len(captions))]
    legend = figure.legend(handles, places, loc='outside lower center', ncols=max(columns, 1), prop=font, frameon=False)
    for text, caption in zip(legend.get_texts(), captions, strict=True):
        text.set_parse_math(False)
        text.set_text(caption)


def _of_runs(runs: Sequence[Run], name: str) -> list[Line]:
    """One line per run, so that a run keeps its colour in every chart."""
    return [Line(run.name, run.figures.get(name, [])) for run in runs]


def _losses(run: Run) -> dict[str, Course]:
    """The whole loss, and the sum of each branch's losses."""
    branches: dict[str, dict[int, float]] = {}
    for name, course in run.figures.items():
        branch, _, rest = name.partition('.')
        if 'loss' in rest:
            sums = branches.setdefault(branch, {})
            for step, value in course:
                sums[step] = sums.get(step, 0.0) + value
    whole = {'loss': run.figures.get('loss', [])}
    return whole | ({name: sorted(sums.items()) for name, sums in branches.items()} if len(branches) > 1 else {})


def _label_free(runs: Sequence[Run]) -> list[str]:
    """Names of scores that need no labels: ``label_free.NAME``."""
    return sorted({name for run in runs for name in run.figures if name.startswith('label_free')} - set(_NOT_DRAWN))
