"""The short table: what each pair of domains gains over a source-only model of equal length."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from adaptation_study.results import Identity, Result, Run
from adaptation_study.table import mean_and_deviation
from adaptation_study.variants import DATA, VARIANTS

MARKERS = ('<!-- gains: begin (written by benchmarks/adaptation.py --table) -->', '<!-- gains: end -->')
BLOCKS = {
    'from scratch': ('demo', 'landcover', 'drone', 'buildings'),  # the four that defaults are chosen by
    'ImageNet weights': ('landcover_lite0', 'drone_lite0', 'buildings_lite0'),
}
COLUMNS = {'statistics': 'statistics alone', 'baseline': 'baseline', 'dlc': 'DLC, target statistics'}
STUDENT = 'DLC, source statistics'  # its student, whose norms keep those


def format_gains(results: Mapping[Run, Result], identities: Mapping[tuple[str, str], Identity]) -> str:
    """Target mIoU of source-only training, and what the others gain over the same seed of it.

    Args:
        results: All results; those that do not fit their identity are left out.
        identities: Of every (data, variant).

    Returns:
        Markdown: a row for each pair of domains that has a source-only result; below the pairs of each of `BLOCKS`
        the worst of their mean gains, and the mean.
    """
    header = ['pair', 'seeds', 'source-only', *COLUMNS.values(), STUDENT, 'DLC over baseline']
    rows: list[list[str]] = []
    for block, pairs in BLOCKS.items():
        gains: dict[str, list[float]] = {column: [] for column in (*COLUMNS.values(), STUDENT)}
        of_block = [_row(data, results, identities, gains) for data in pairs]
        rows += [cells for cells in of_block if cells]
        if any(of_block):
            for title, summary in (('worst', min), ('mean', statistics.fmean)):
                ends = [f'{summary(values):+.2f}' if values else '' for values in gains.values()]
                rows.append([f'**{title}, {block}**', '', '', *ends, ''])
    if not rows:
        return 'No results yet.'
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def _row(
    data: str,
    results: Mapping[Run, Result],
    identities: Mapping[tuple[str, str], Identity],
    gains: dict[str, list[float]],
) -> list[str]:
    """Cells of a pair, empty without a source-only result; its mean gains are added to ``gains``."""
    found = {variant: _by_seed(results, identities, data, variant) for variant in ('source_only', *COLUMNS)}
    miou = {variant: {seed: result.last['mIoU'] for seed, result in of.items()} for variant, of in found.items()}
    source = miou['source_only']
    if not source:
        return []
    student = {seed: result.student_miou for seed, result in found['dlc'].items() if result.student_miou is not None}
    cells = [DATA[data].title, ' '.join(map(str, sorted(source))), mean_and_deviation(list(source.values()))]
    for column, values in zip(gains, (*(miou[variant] for variant in COLUMNS), student), strict=True):
        over = _differences(values, source)
        cells.append(mean_and_deviation(over, sign='+'))
        gains[column] += [statistics.fmean(over)] if over else []
    return [*cells, mean_and_deviation(_differences(miou['dlc'], miou['baseline']), sign='+')]


def _by_seed(
    results: Mapping[Run, Result], identities: Mapping[tuple[str, str], Identity], data: str, variant: str
) -> dict[int, Result]:
    assert variant in VARIANTS
    fitting = (r for r in results.values() if r.run[:2] == (data, variant) and r.fits(identities[data, variant]))
    return {result.seed: result for result in fitting}


def _differences(values: Mapping[int, float], start: Mapping[int, float]) -> list[float]:
    """Of the seeds that both have."""
    return [values[seed] - start[seed] for seed in sorted(set(values) & set(start))]
