"""Which estimator knows the noise of real pseudo-labels? The table that decided the default of `NoiseTransitionMatrix`.

The DACS + MIC baseline trains on the drawn demo data and from Czech to Dubai tiles. Every estimator looks on at the
same run; nothing is corrected, so that all see the same pseudo-labels. The figure is the mean |T - true T| against
the true confusion of the teacher's pseudo-labels, which the target's labels tell (they serve for nothing else),
averaged over the measurements of the run's second half. A finished run is one JSON and is not repeated. The drawn
demo data are made where they are missing; the other pair is left out where its tiles are missing.

Example:
    OMP_NUM_THREADS=1 python benchmarks/transition_training.py --data demo landcover --seeds 0 1 2
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
from adaptation_study.variants import DATA, VALIDATIONS, compose, with_absolute_paths
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
}


def main() -> None:
    """Train what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', nargs='+', choices=list(DATA), default=list(DATA), help='pairs of domains')
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
                observe(data, seed, args.work_dir / f'{data}-seed{seed}')
    text = f'{table_of(list(DATA))}\n\n{origins_of(list(DATA))}'
    (RESULTS / 'transition_training.md').write_text(f'# Error of T during training\n\n{text}\n', encoding='utf-8')
    print(text)


def result_file(data: str, seed: int) -> Path:
    """Where a run's figures are kept."""
    return RESULTS / 'transition_training' / f'{data}_seed{seed}.json'


def observe(data: str, seed: int, work_dir: Path) -> None:
    """Train the baseline with all estimators looking on, unless that is done."""
    done = result_file(data, seed)
    if done.is_file():
        return
    if not (ROOT / DATA[data].folder).is_dir():
        print(f'{data}: no tiles in {DATA[data].folder}, left out')
        return
    source = origin()  # the code that trains, whatever is committed meanwhile
    shutil.rmtree(work_dir, ignore_errors=True)
    config = with_absolute_paths(compose(data, 'baseline', ROOT).to_dict(), ROOT)
    iterations = config['train_cfg']['max_iters']
    config['model'].update(type='ObservedBaseline', total_iterations=iterations)
    config['custom_hooks'][0].update(type='CandidateErrorHook', interval=iterations // VALIDATIONS)
    config.update(randomness={'seed': seed}, work_dir=str(work_dir), val_dataloader=None, val_cfg=None)
    config.update(val_evaluator=None, custom_imports=None)
    RUNNERS.build(Config(config)).train()
    lines = (work_dir / candidate_estimators.COURSE_FILE).read_text(encoding='utf-8').splitlines()
    done.parent.mkdir(parents=True, exist_ok=True)
    result = {'data': data, 'seed': seed, **source, 'course': [json.loads(line) for line in lines]}
    done.write_text(json.dumps(result, indent=1) + '\n', encoding='utf-8')


def late_errors(result: dict[str, object]) -> dict[str, float]:
    """Errors by estimator, averaged over the second half of a run."""
    course = result['course']
    assert isinstance(course, list)
    late = course[len(course) // 2 :]
    return {name: mean(line['errors'][name] for line in late) for name in late[0]['errors']}


def table_of(data: Sequence[str]) -> str:
    """All results as a Markdown table."""
    found = {name: [late_errors(json.loads(path.read_text())) for path in files_of(name)] for name in data}
    header = ['estimator', *(f'{DATA[name].title} ({len(found[name])} seeds)' for name in data)]
    rows = [[title, *(cell(found[name], key) for name in data)] for key, title in TITLES.items()]
    return table(header, rows)


def origins_of(data: Sequence[str]) -> str:
    """Where the results are from, a line each."""
    lines = []
    for name in data:
        for path in files_of(name):
            found = json.loads(path.read_text())
            lines.append(f'- {path.stem}: `{found["command"]}`, commit {found["commit"]}, {found["machine"]}')
    return '\n'.join(lines)


def files_of(data: str) -> list[Path]:
    """Result files of a pair of domains."""
    return sorted((RESULTS / 'transition_training').glob(f'{data}_seed*.json'))


def cell(runs: list[dict[str, float]], name: str) -> str:
    """Mean and standard deviation over seeds, and the ratio to the identity."""
    if not runs:
        return ''
    errors = [run[name] for run in runs]
    spread = f' ± {stdev(errors):.3f}' if len(errors) > 1 else ''
    return f'{mean(errors):.3f}{spread} ({mean(errors) / mean(run["identity"] for run in runs):.2f})'


if __name__ == '__main__':
    main()
