"""The Markdown table of all results, and its place in the README of the benchmarks."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from adaptation_study.results import Identity, Result, Run
from adaptation_study.variants import DATA, VARIANTS

MARKERS = (
    '<!-- adaptation table: begin (written by benchmarks/adaptation.py --table) -->',
    '<!-- adaptation table: end -->',
)
_HEADER = (
    '| variant | mIoU of each seed | mIoU | mean F1 | OA | best mIoU | mIoU, source statistics '
    '| mIoU over baseline | error of T |'
)


def format_tables(results: Mapping[Run, Result], identities: Mapping[tuple[str, str], Identity]) -> str:
    """Tables of all data sets that have results.

    Args:
        results: All results; those that do not fit their identity are left out.
        identities: Of every (data, variant).
    """
    blocks = []
    for data in DATA:
        rows = {
            variant: sorted(
                (r for r in results.values() if r.run[:2] == (data, variant) and r.fits(identities[data, variant])),
                key=lambda result: result.seed,
            )
            for variant in VARIANTS
        }
        if any(rows.values()):
            blocks.append(format_table(data, rows))
    return '\n\n'.join(blocks) if blocks else 'No results yet.'


def format_table(data: str, rows: Mapping[str, Sequence[Result]]) -> str:
    """One data set's table with a caption.

    Args:
        data: Key of `DATA`.
        rows: Results by variant, one per seed.
    """
    lines = [_HEADER, '|' + '---|' * _HEADER.count(' | ') + '---|']
    for variant, found in rows.items():
        if not found:
            continue
        start = VARIANTS[variant].baseline if variant != 'baseline' else None
        baseline = {result.seed: result.last['mIoU'] for result in rows.get(start, ())} if start else {}
        cells = [VARIANTS[variant].title, *_figures(found, baseline)]
        lines.append(f'| {" | ".join(cells)} |')
    every = [result for found in rows.values() for result in found]
    hours = sum(result.seconds for result in every) / 3600
    iterations = '/'.join(str(number) for number in sorted({result.iterations for result in every}))
    states = len({result.code for result in every})
    caption = (
        f'**{DATA[data].title}**, {iterations} iterations, target validation tiles, last iteration, in percent; '
        f'mean ± standard deviation over seeds ({len(every)} runs, {hours:.1f} h, '
        f'{states} state{"s" if states > 1 else ""} of the code).'
    )
    others = dict.fromkeys(chosen.baseline for name, chosen in VARIANTS.items() if rows.get(name))
    for start in (name for name in others if name != 'baseline'):
        compared = [f'"{v.title}"' for name, v in VARIANTS.items() if v.baseline == start and rows.get(name)]
        caption += f' {" and ".join(compared)}: gain over "{VARIANTS[start].title}".'
    return '\n'.join([caption, '', *lines])


def _figures(found: Sequence[Result], baseline: Mapping[int, float]) -> list[str]:
    """Cells of a row behind its title; seeds in ascending order."""
    gains = [result.last['mIoU'] - baseline[result.seed] for result in found if result.seed in baseline]
    errors = [result.transition[-1]['error'] for result in found if result.transition]
    return [
        ' / '.join(f'{result.last["mIoU"]:.2f}' for result in found),
        *(mean_and_deviation([result.last[name] for result in found]) for name in ('mIoU', 'mF1', 'OA')),
        mean_and_deviation([result.best_miou for result in found]),
        mean_and_deviation([result.student_miou for result in found if result.student_miou is not None]),
        mean_and_deviation(gains, sign='+'),
        mean_and_deviation(errors, digits=3),
    ]


def mean_and_deviation(values: Sequence[float], *, digits: int = 2, sign: str = '') -> str:
    """Mean ± sample standard deviation; the value alone if there is one, nothing without any.

    Args:
        values: The values.
        digits: Digits behind the point.
        sign: ``+`` shows the sign of the mean.
    """
    if not values:
        return ''
    mean = f'{statistics.fmean(values):{sign}.{digits}f}'
    return f'{mean} ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else mean


def notes(results: Mapping[Run, Result], runs: Sequence[Run], missing: Sequence[Run]) -> list[str]:
    """What a reader of the table should know: runs that are missing, and rows of more than one state of the code.

    Args:
        results: All results.
        runs: Runs of the full table.
        missing: Those without a result that fits.
    """
    lines = []
    for data, variant in dict.fromkeys(run[:2] for run in runs):
        seeds = [str(run.seed) for run in missing if run[:2] == (data, variant)]
        if seeds:
            lines.append(f'missing: {data} {variant}, seeds {" ".join(seeds)}')
        present = [results[run] for run in runs if run[:2] == (data, variant) and run not in missing]
        states = {result.code: f'{result.commit[:10]} (seed {result.seed})' for result in reversed(present)}
        if len(states) > 1:
            lines.append(f'{data} {variant}: code of {", ".join(states.values())} differs; --again measures all anew')
    return lines


def update_readme(readme: Path, text: str, markers: tuple[str, str] = MARKERS) -> bool:
    """Put text between the markers of a README.

    Args:
        readme: The file.
        text: Markdown.
        markers: The lines before and behind it.

    Returns:
        Whether the file changed.

    Raises:
        SystemExit: If the markers are not there.
    """
    before = readme.read_text(encoding='utf-8')
    head, begin, rest = before.partition(markers[0])
    _, end, tail = rest.partition(markers[1])
    if not begin or not end:
        raise SystemExit(f'{readme}: add the lines "{markers[0]}" and "{markers[1]}" where the tables are to stand')
    after = f'{head}{begin}\n\n{text}\n\n{end}{tail}'
    if after != before:
        readme.write_text(after, encoding='utf-8')
    return after != before
