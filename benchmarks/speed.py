"""All costs in one table (`make bench`): training step, target loss, update of T, sliding inference, data, start.

Each part runs in a process of its own; ratios are of one run, in processor seconds of one thread.

Example:
    OMP_NUM_THREADS=1 python benchmarks/speed.py
    OMP_NUM_THREADS=1 python benchmarks/speed.py --parts target_loss data_loading --output /tmp/speed
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from measuring import Ratio, alone, table_of
from provenance import ROOT, origin, write_results

PARTS = ('training_step', 'target_loss', 'sliding_inference', 'data_loading')


def ratios_of(part: str) -> list[Ratio]:
    """What a script of this folder measures."""
    ratios: list[Ratio] = importlib.import_module(part).ratios()
    return ratios


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--output', type=Path, default=ROOT / 'benchmarks/results', help='folder of both result files')
    args = parser.parse_args()
    source, found = origin(), []
    for part in args.parts:
        measured = alone(ratios_of, part)
        print(table_of(measured), flush=True)
        found += measured
    data = {'ratios': [ratio._asdict() for ratio in found]}
    path = write_results(args.output, 'speed', 'Costs beside references', table_of(found), data, source)
    print(f'Written to {path}')


if __name__ == '__main__':
    main()
