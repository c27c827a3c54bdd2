"""The short table: what each pair of domains gains over a source-only model of equal length."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from adaptation_study.results import Identity, Result, Run
from adaptation_study.table import mean_and_deviation
from adaptation_study.variants import DATA, VARIANTS

MARKERS = ('<!-- gains: begin (written by benchmarks/adaptation.py --table) -->', '<!-- gains: end -->')
PAIRS = ('demo', 'landcover', 'drone', 'buildings')  # the four that defaults are chosen by
COLUMNS = {'statistics': 'statistics alone', 'baseline': 'baseline', 'dlc': 'DLC, the default'}


def format_gains(
    results: Mapping[Run, Result], identities: Mapping[tuple[str, str], Identity], pairs: Sequence[str] = PAIRS
) -> str:
    """Target mIoU of source-only training, and what the others gain over the same seed of it.

    Args:
        results: All results; those that do not fit their identity are left out.
        identities: Of every (data, variant).
        pairs: Keys of `DATA`: rows; those without a source-only result are left out.

    Returns:
        Markdown: a row for each pair, the worst of the mean gains, and their mean.
    """
    header = ['pair', 'seeds', 'source-only', *COLUMNS.values(), 'DLC over baseline']
    rows: list[list[str]] = []
    gains: dict[str, list[float]] = {variant: [] for variant in COLUMNS}
    for data in pairs:
        found = {variant: _by_seed(results, identities, data, variant) for variant in ('source_only', *COLUMNS)}
        source = found['source_only']
        if not source:
            continue
        cells = [DATA[data].title, ' '.join(map(str, sorted(source))), mean_and_deviation(list(source.values()))]
        for variant in COLUMNS:
            over = _differences(found[variant], source)
            cells.append(mean_and_deviation(over, sign='+'))
            gains[variant] += [statistics.fmean(over)] if over else []
        cells.append(mean_and_deviation(_differences(found['dlc'], found['baseline']), sign='+'))
        rows.append(cells)
    if not rows:
        return 'No results yet.'
    for title, summary in (('worst', min), ('mean', statistics.fmean)):
        ends = [f'{summary(values):+.2f}' if values else '' for values in gains.values()]
        rows.append([f'**{title} of the pairs**', '', '', *ends, ''])
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def _by_seed(
    results: Mapping[Run, Result], identities: Mapping[tuple[str, str], Identity], data: str, variant: str
) -> dict[int, float]:
    assert variant in VARIANTS
    fitting = (r for r in results.values() if r.run[:2] == (data, variant) and r.fits(identities[data, variant]))
    return {result.seed: result.last['mIoU'] for result in fitting}


def _differences(values: Mapping[int, float], start: Mapping[int, float]) -> list[float]:
    """Of the seeds that both have."""
    return [values[seed] - start[seed] for seed in sorted(set(values) & set(start))]
