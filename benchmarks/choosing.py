"""What is a label-free score worth? Regret of what it chooses, over all finished runs of `adaptation.py`.

The candidates of a pair of domains and a seed are the checkpoints that source-only, source-only with target statistics,
baseline and full DLC left; pairs and seeds without all four are left out. Every score of `dlc-mmseg compare` is
measured on images of the target's validation tiles, without their labels, and chooses; the true mIoU of the chosen
checkpoint, on all of these tiles, is that of the run's own validation. Regret is what it lacks of the best candidate,
in points of mIoU.

Measured pairs are kept in benchmarks/results/choosing.json and measured again when their candidates change.

Example:
    python benchmarks/adaptation.py --variants source_only statistics baseline dlc --jobs 2
    python benchmarks/choosing.py
    python benchmarks/choosing.py --table       # from what was kept
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from adaptation_study import class_shares, efficientnet_lite, student_figures, true_transition  # noqa: F401  # register
from adaptation_study.running import machine, validations
from adaptation_study.variants import DATA
from adaptation_study.watching import Watched, format_watched, watched
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from dlc_mmseg.deploy.selection.candidates import Candidate, load_candidates
from dlc_mmseg.deploy.selection.scoring import SCORES, score_candidates
from dlc_mmseg.files.atomic_writing import write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / 'benchmarks' / 'results' / 'choosing.json'
NOT_ADAPTED = 'source_only'
VARIANTS = (NOT_ADAPTED, 'statistics', 'baseline', 'dlc')
DEFAULT = 'dlc'
"""The variant whose last checkpoint a user takes who does not choose."""


class Row(NamedTuple):
    """A candidate with its scores.

    Attributes:
        variant: Key of the benchmark's variants.
        iteration: Of the checkpoint.
        miou: True mIoU in percent.
        scores: Label-free scores by name; None where there is none.
    """

    variant: str
    iteration: int
    miou: float
    scores: dict[str, float | None]


Group = list[Row]
"""All candidates of a pair of domains and a seed."""


def main() -> None:
    """Measure what is not kept yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work_dirs', nargs='+', type=Path, default=[ROOT / 'work_dirs' / 'adaptation'])
    parser.add_argument('--max_images', type=int, default=12, help='images of a pair, evenly spread (default: 12)')
    parser.add_argument('--table', action='store_true', help='measure nothing')
    args = parser.parse_args()
    kept = json.loads(RESULT.read_text(encoding='utf-8'))['groups'] if RESULT.is_file() else {}
    if not args.table:
        init_default_scope('mmseg')
        for name, runs in finished_runs(args.work_dirs).items():
            if len(runs) < len(VARIANTS):
                continue
            found = [str(path.relative_to(path.parents[4])) for run in runs.values() for path in checkpoints(run)]
            if kept.get(name, {}).get('checkpoints') == found and kept[name]['images'] == args.max_images:
                continue
            rows = measure(runs, args.max_images)
            kept[name] = {
                'checkpoints': found,
                'images': args.max_images,
                'machine': machine(),
                'candidates': [row._asdict() for row in rows],
                'watched': [row._asdict() for row in watches(name, runs)],
            }
            write_atomically(RESULT, (json.dumps({'groups': kept}, indent=1) + '\n').encode())
            print(f'{name}: {len(rows)} candidates', flush=True)
    groups = {name: [Row(**row) for row in group['candidates']] for name, group in kept.items()}
    print('\n'.join(format_table(groups)))
    print('\n'.join(['', *format_watched([row for group in kept.values() for row in group['watched']])]))


def finished_runs(work_dirs: Iterable[Path]) -> dict[str, dict[str, Path]]:
    """Folders of finished runs: by pair and seed, then by variant; the latest where there are several."""
    found: dict[str, dict[str, Path]] = {}
    for data in DATA:
        for variant in VARIANTS:
            folders = [folder for root in work_dirs for folder in root.glob(f'{data}/{variant}/seed*/*')]
            for folder in sorted(folders, key=lambda path: path.stat().st_mtime):
                if is_finished(folder):
                    found.setdefault(f'{data} {folder.parent.name}', {})[variant] = folder
    return found


def is_finished(folder: Path) -> bool:
    """Whether a run has its last checkpoint, and the validation of it."""
    if not (folder / 'config.py').is_file():
        return False
    last = Config.fromfile(folder / 'config.py', import_custom_modules=False).train_cfg.max_iters
    return (folder / f'iter_{last}.pth').is_file() and last in validations(folder)


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run whose mIoU is known, in order."""
    known = validations(folder)
    numbers = sorted(int(path.stem.removeprefix('iter_')) for path in folder.glob('iter_*.pth'))
    return [folder / f'iter_{number}.pth' for number in numbers if number in known]


def measure(runs: Mapping[str, Path], max_images: int) -> Group:
    """Score all checkpoints of some runs on one pair of domains.

    Args:
        runs: Folders by variant.
        max_images: Images to take at most.
    """
    candidates: list[Candidate] = []
    known: list[tuple[str, int, float]] = []
    for variant, folder in runs.items():
        config = Config.fromfile(folder / 'config.py')
        for path in checkpoints(folder):
            (candidate,) = load_candidates(config, path, 'predicting')
            number = int(path.stem.removeprefix('iter_'))
            candidates.append(candidate)
            known.append((variant, number, float(validations(folder)[number]['mIoU'])))
    dataset = DATASETS.build(config.val_dataloader.dataset)
    scored = score_candidates(candidates, dataset, limit=max_images)
    values = [{name: getattr(row, name) for name in SCORES} for row in scored]
    return [
        Row(*row, {name: None if math.isnan(value) else round(value, 5) for name, value in scores.items()})
        for row, scores in zip(known, values, strict=True)
    ]


def watches(name: str, runs: Mapping[str, Path]) -> list[Watched]:
    """What the watch over self-training said in the self-trained runs of a pair and seed."""
    figures = validations(runs[NOT_ADAPTED])
    source_only = figures[max(figures)]['mIoU']
    found = []
    for variant in ('baseline', 'dlc'):
        if variant in runs:
            config = Config.fromfile(runs[variant] / 'config.py', import_custom_modules=False)
            warm_up = config.model.get('warmup_iterations')
            found.append(watched(f'{name} {variant}', runs[variant], source_only, warm_up))
    return found


def chosen(rows: Sequence[Row], score: str) -> Row | None:
    """The candidate with the largest score; None where fewer than two have it."""
    known = [row for row in rows if row.scores[score] is not None]
    return max(known, key=lambda row: row.scores[score] or 0.0) if len(known) > 1 else None


def last(rows: Sequence[Row], variant: str) -> Row | None:
    """The last checkpoint of a variant; None without any."""
    return max((row for row in rows if row.variant == variant), key=lambda row: row.iteration, default=None)


def regret(rows: Sequence[Row], row: Row | None) -> float | None:
    """What a candidate's mIoU lacks of the best one's; None of None."""
    return None if row is None else max(other.miou for other in rows) - row.miou


def verdicts(rows: Sequence[Row], score: str) -> list[bool]:
    """Whether a score tells the better of source-only and each adapted variant, last checkpoints both."""
    source, right = last(rows, NOT_ADAPTED), []
    for variant, gain in gains(rows).items():
        adapted = last(rows, variant)
        assert source is not None
        assert adapted is not None
        own, other = adapted.scores[score], source.scores[score]
        if own is not None and other is not None:
            right.append((own > other) == (gain > 0))
    return right


def gains(rows: Sequence[Row]) -> dict[str, float]:
    """MIoU of each adapted variant over source-only, last checkpoints both, in points."""
    source = last(rows, NOT_ADAPTED)
    found = {variant: last(rows, variant) for variant in VARIANTS[1:]}
    if source is None:
        return {}
    return {variant: row.miou - source.miou for variant, row in found.items() if row is not None}


def format_table(groups: Mapping[str, Group]) -> list[str]:
    """A Markdown table, one row per score and per way to do without one.

    Args:
        groups: Candidates by pair and seed.
    """
    runs = [
        [row for row in rows if row.variant == variant] for rows in groups.values() for variant in ('baseline', 'dlc')
    ]
    runs = [rows for rows in runs if len(rows) > 1]
    lines = [
        f'{len(groups)} pairs and seeds, {sum(map(len, groups.values()))} checkpoints; {len(runs)} self-trained runs.',
        '',
        '| choice | regret among all: mean, largest | regret among one self-trained run: mean, largest '
        '| adapted or source-only: right |',
        '| --- | --- | --- | --- |',
    ]
    for score in SCORES:
        of_all = [regret(rows, chosen(rows, score)) for rows in groups.values()]
        of_one = [] if score == 'ensemble' else [regret(rows, chosen(rows, score)) for rows in runs]  # of all members
        right = [verdict for rows in groups.values() for verdict in verdicts(rows, score)]
        lines.append(f'| `{score}` | {_spread(of_all)} | {_spread(of_one)} | {_share(right)} |')
    helped = [gain > 0 for rows in groups.values() for gain in gains(rows).values()]
    of_all = [regret(rows, last(rows, DEFAULT)) for rows in groups.values()]
    of_one = [regret(rows, rows[-1]) for rows in runs]
    lines.append(f'| always the last, adapted (full DLC) | {_spread(of_all)} | {_spread(of_one)} | {_share(helped)} |')
    of_all = [regret(rows, last(rows, NOT_ADAPTED)) for rows in groups.values()]
    lines.append(f'| always the last, source-only | {_spread(of_all)} |  | {_share([not gain for gain in helped])} |')
    drawn = [statistics.fmean(regret(rows, row) or 0.0 for row in rows) for rows in groups.values()]
    in_run = [statistics.fmean(regret(rows, row) or 0.0 for row in rows) for rows in runs]
    return [*lines, f'| drawn by lot | {_spread(drawn)} | {_spread(in_run)} | 50 % |']


def _spread(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f'{statistics.fmean(known):.1f}, {max(known):.1f} (of {len(known)})' if known else ''


def _share(right: Sequence[bool]) -> str:
    return f'{sum(right)} of {len(right)}' if right else ''


if __name__ == '__main__':
    main()
