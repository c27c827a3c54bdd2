"""Which estimator knows the noise of real pseudo-labels? The table that decided the default of `NoiseTransitionMatrix`.

The DACS + MIC baseline trains on the drawn demo data and from Czech to Dubai tiles. Every estimator looks on at the
same run; nothing is corrected, so that all see the same pseudo-labels. The figure is the mean |T - true T| against
the true confusion of the teacher's pseudo-labels, which the target's labels tell (they serve for nothing else),
averaged over the measurements of the run's second half. A finished run is one JSON and is not repeated. The drawn
demo data are made where they are missing; the other pair is left out where its tiles are missing. ``--baseline`` says
which one trains: `baseline` is today's, with class-matched statistics and a warm-up; the first table is of
`batch_teacher`, which has neither.

Example:
    OMP_NUM_THREADS=1 python benchmarks/transition_training.py --data demo landcover --seeds 0
    OMP_NUM_THREADS=1 python benchmarks/transition_training.py --baseline batch_teacher --data demo --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import candidate_estimators  # registers the observed baseline
from adaptation_study.demo_data import make_demo_data
from adaptation_study.variants import DATA, VALIDATIONS, VARIANTS, compose, with_absolute_paths
from mmengine.config import Config
from mmengine.registry import RUNNERS, init_default_scope
from provenance import ROOT, origin, table

import dlc_mmseg  # noqa: F401  (registers the package)

RESULTS = ROOT / 'benchmarks' / 'results'
TITLES = {
    'identity': 'identity (correct nothing)',
    'published': 'published: consensus, batch, deepest features, published rate',
    'published0': 'the same, shallowest features',
    'published_fast': 'the same, shallowest features, rate 0.1',
    'likelihood-1': 'likelihood of neighbours (EM), memory of 40 iterations, deepest features',
    'likelihood1': 'the same, middle features',
    'likelihood0': 'the same, shallowest features',
    'map-1': 'the same with the confusion on pasted pixels as prior, deepest features',
    'map1': 'the same, middle features',
    'map0': 'the same, shallowest features',
    'loss': 'through the corrected loss and the volume term (VolMinNet)',
    'teacher': "confusion expected by the teacher's own probabilities",
    'known': 'known confusion: student on pasted source pixels',
    'student': 'confusion expected by the student in mixed and masked views',
    'student_known': 'the same and the known confusion',
    'teacher_known': "**the teacher's probabilities and the known confusion: `ConfusionEstimator`, the default**",
    'teacher_known_pixels': 'the same, counted at every pixel of resized logits instead of their own cells',
}
BASELINES = ('baseline', 'batch_teacher')


def main() -> None:
    """Train what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', choices=list(DATA), default=list(DATA), help='pairs of domains')
    parser.add_argument(
        '--baseline', choices=BASELINES, default='baseline', help='variant of adaptation.py that trains'
    )
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2], help='seeds of training')
    parser.add_argument('--work_dir', type=Path, default=ROOT / 'work_dirs' / 'transition_training', help='logs')
    parser.add_argument('--table', action='store_true', help='only write the table of the results that exist')
    args = parser.parse_args()
    init_default_scope('mmseg')
    if 'demo' in args.data and not args.table:
        make_demo_data(ROOT)
    for seed in args.seeds:
        for data in args.data:
            if not args.table:
                observe(data, args.baseline, seed, args.work_dir / f'{data}-{args.baseline}-seed{seed}')
    parts = [
        f'## {VARIANTS[baseline].title[0].upper()}{VARIANTS[baseline].title[1:]}\n\n'
        f'{table_of(list(DATA), baseline)}\n\n{origins_of(list(DATA), baseline)}'
        for baseline in BASELINES
    ]
    text = '\n\n'.join(parts)
    (RESULTS / 'transition_training.md').write_text(f'# Error of T during training\n\n{text}\n', encoding='utf-8')
    print(text)


def result_file(data: str, baseline: str, seed: int) -> Path:
    """Where a run's figures are kept."""
    return RESULTS / 'transition_training' / f'{data}_{baseline}_seed{seed}.json'


def observe(data: str, baseline: str, seed: int, work_dir: Path) -> None:
    """Train a baseline with all estimators looking on, unless that is done."""
    done = result_file(data, baseline, seed)
    if done.is_file():
        return
    if not (ROOT / DATA[data].folder).is_dir():
        print(f'{data}: no tiles in {DATA[data].folder}, left out')
        return
    source = origin()  # the code that trains, whatever is committed meanwhile
    shutil.rmtree(work_dir, ignore_errors=True)
    config = with_absolute_paths(compose(data, baseline, ROOT).to_dict(), ROOT)
    iterations = config['train_cfg']['max_iters']
    config['model'].update(type='ObservedBaseline', total_iterations=iterations)
    config['custom_hooks'][0].update(type='CandidateErrorHook', interval=iterations // VALIDATIONS)
    config.update(randomness={'seed': seed}, work_dir=str(work_dir), val_dataloader=None, val_cfg=None)
    config.update(val_evaluator=None, custom_imports=None)
    RUNNERS.build(Config(config)).train()
    lines = (work_dir / candidate_estimators.COURSE_FILE).read_text(encoding='utf-8').splitlines()
    done.parent.mkdir(parents=True, exist_ok=True)
    result = {
        'data': data,
        'baseline': baseline,
        'seed': seed,
        **source,
        'course': [json.loads(line) for line in lines],
    }
    done.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


def late_errors(result: dict[str, object]) -> dict[str, float]:
    """Errors by estimator, averaged over the second half of a run."""
    course = result['course']
    assert isinstance(course, list)
    late = [line for line in course if line['iteration'] > course[-1]['iteration'] / 2]
    return {name: mean(line['errors'][name] for line in late) for name in late[0]['errors']}


def table_of(data: Sequence[str], baseline: str) -> str:
    """All results of a baseline as a Markdown table, on the pairs of domains that have any."""
    found = {name: [late_errors(json.loads(path.read_text())) for path in files_of(name, baseline)] for name in data}
    found = {name: runs for name, runs in found.items() if runs}
    seeds = {name: f'{len(runs)} seed{"s" if len(runs) > 1 else ""}' for name, runs in found.items()}
    header = ['estimator', *(f'{DATA[name].title} ({seeds[name]})' for name in found)]
    shown = {key: title for key, title in TITLES.items() if any(key in run for runs in found.values() for run in runs)}
    return table(header, [[title, *(cell(runs, key) for runs in found.values())] for key, title in shown.items()])


def origins_of(data: Sequence[str], baseline: str) -> str:
    """Where the results of a baseline are from, a line each."""
    lines = []
    for name in data:
        for path in files_of(name, baseline):
            found = json.loads(path.read_text())
            lines.append(f'- {path.stem}: `{found["command"]}`, commit {found["commit"]}, {found["machine"]}')
    return '\n'.join(lines)


def files_of(data: str, baseline: str) -> list[Path]:
    """Result files of a pair of domains."""
    return sorted((RESULTS / 'transition_training').glob(f'{data}_{baseline}_seed*.json'))


def cell(runs: list[dict[str, float]], name: str) -> str:
    """Mean and standard deviation over the seeds that have it, and the ratio to the identity."""
    runs = [run for run in runs if name in run]
    if not runs:
        return ''
    errors = [run[name] for run in runs]
    spread = f' ± {stdev(errors):.3f}' if len(errors) > 1 else ''
    return f'{mean(errors):.3f}{spread} ({mean(errors) / mean(run["identity"] for run in runs):.2f})'


if __name__ == '__main__':
    main()
