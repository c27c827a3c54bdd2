"""Draw demo data, convert it, train and test two variants, print one table and leave pictures (`make demo`).

The adapted network comes first, so that its pictures can be looked at while the source-only one, which shows what
adaptation is for, still trains. The baseline takes as long as DLC and is left out unless asked for.

Example:
    python tools/run_demo.py --seed 0
    python tools/run_demo.py --variants dlc_demo source_only_demo baseline_demo
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dlc_mmseg.deploy.demo_report import Row, draw_confusions, draw_predictions, format_table

VARIANTS = {'source_only_demo': 'source-only', 'baseline_demo': 'baseline (DACS + MIC)', 'dlc_demo': 'DLC'}
SHOWN = ('dlc_demo', 'source_only_demo')
ROOT = Path(__file__).resolve().parents[1]
RAW, DATA = ROOT / 'data' / 'demo_raw', ROOT / 'data' / 'demo'


def main() -> None:
    """Run every step that is not done yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', type=int, default=0, help='seed of training; the data are always those of seed 0')
    parser.add_argument('--work_dir', type=Path, default=ROOT / 'work_dirs' / 'demo', help='where everything goes')
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=SHOWN, help='variants to run')
    args = parser.parse_args()
    make_data()
    work_dir = args.work_dir / f'seed{args.seed}'
    rows = {}
    for name in args.variants:
        rows[name] = train_and_test(name, args.seed, work_dir / name)
        picture, checkpoint = work_dir / f'{name}_predictions.png', last_checkpoint(work_dir / name)
        draw_predictions(ROOT / 'configs' / f'{name}.py', checkpoint, picture, title=VARIANTS[name])
        print(f'\n{VARIANTS[name]} beside images and labels: {picture}\n', flush=True)
        if name == 'dlc_demo':
            draw_confusions(ROOT / 'configs' / 'dlc_demo.py', checkpoint, work_dir / 'transition_matrix.png')
    run('dlc-mmseg', 'report', *(work_dir / name for name in args.variants), '--out', work_dir / 'report.html')
    table = format_table([rows[name] for name in VARIANTS if name in rows])
    (work_dir / 'table.md').write_text(table + '\n', encoding='utf-8')
    print(f'\nTarget validation tiles, seed {args.seed}: last iteration, and the best one by these labels\n\n{table}')
    print(f'\nPictures: {work_dir}/*.png, and vis_data/vis_image below each variant for those made during training')
    print(f'All of it on one page: {work_dir}/report.html')


def make_data() -> None:
    """Draw the raw data and cut them into tiles, unless that is done."""
    if not (RAW / 'demo_data.json').is_file():
        run('dlc-mmseg', 'make-demo-data', '--out_dir', RAW, '--seed', '0')
    cut = ('--clip_size', '128', '--stride_size', '128')
    run('dlc-mmseg', 'convert-potsdam', '--dataset_path', RAW / 'potsdam', '--out_dir', DATA / 'potsdam', *cut,
        '--bands', 'irrg')  # fmt: skip
    run('dlc-mmseg', 'convert-vaihingen', '--dataset_path', RAW / 'vaihingen', '--out_dir', DATA / 'vaihingen', *cut)


def train_and_test(name: str, seed: int, work_dir: Path) -> Row:
    """Train one variant with `mim train` and test its last iteration with `mim test`; both are skipped when done."""
    config = f'configs/{name}.py'
    if not (work_dir / 'trained').is_file():
        run('mim', 'train', 'mmsegmentation', config, '--gpus', '0', '--work-dir', work_dir,
            '--cfg-options', f'randomness.seed={seed}')  # fmt: skip
        (work_dir / 'trained').touch()
    tested = work_dir / 'test'
    if not list(tested.glob('*/*.json')):
        run('mim', 'test', 'mmsegmentation', config, '--checkpoint', last_checkpoint(work_dir), '--gpus', '0',
            '--work-dir', tested, '--show-dir', work_dir / 'shown')  # fmt: skip
    metrics = json.loads(max(tested.glob('*/*.json')).read_text(encoding='utf-8'))
    scalars = [json.loads(line) for path in work_dir.glob('*/vis_data/scalars.json') for line in path.open()]
    best = max(scalar['mIoU'] for scalar in scalars if 'mIoU' in scalar)
    return Row(VARIANTS[name], metrics['mIoU'], metrics['mFscore'], metrics['aAcc'], best)


def last_checkpoint(work_dir: Path) -> Path:
    """Checkpoint of the last iteration, as MMEngine notes it."""
    return Path((work_dir / 'last_checkpoint').read_text(encoding='utf-8').strip())


def run(program: str, *arguments: Any) -> None:
    """Run a program of this environment from the repository's root; stop with its status if it fails."""
    command = [str(Path(sys.executable).parent / program), *map(str, arguments)]
    print('$', ' '.join([program, *map(str, arguments)]), flush=True)
    path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ.get("PATH", "")}'
    status = subprocess.run(command, cwd=ROOT, env={**os.environ, 'PATH': path}, check=False).returncode
    if status:
        raise SystemExit(f'{program} {arguments[0]} stopped with status {status}; its message stands above')


if __name__ == '__main__':
    main()
