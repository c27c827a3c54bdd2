"""Does DLC help? Source-only, baseline, each part, full DLC, DLC with the true T and target-supervised, over seeds.

Every finished run leaves one JSON in benchmarks/results/adaptation and is not repeated; an interrupted one goes on
where it stopped. Runs train the last commit, not what is being edited. A result whose config or data have changed
since is measured anew and never mixed with others; one of other code stays (--again measures it anew), and the caption
of the table says how many states of the code it holds. The drawn demo data are made where they are missing; the land
cover tiles (Czech Republic to Dubai) are left out where they are missing.

Example:
    python benchmarks/adaptation.py --jobs 2                    # everything that is missing, a core each
    python benchmarks/adaptation.py --data demo --variants baseline dlc --seeds 0 1 --commit
    python benchmarks/adaptation.py --list                      # what is missing
    python benchmarks/adaptation.py --table                     # write the tables into benchmarks/README.md
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from adaptation_study.arguments import parse_arguments
from adaptation_study.repository import copy_of_commit

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Start the benchmark from a copy of the last commit."""
    args = parse_arguments(__doc__ or '')
    work_dir = (args.work_dir or ROOT / 'work_dirs' / 'adaptation').resolve()
    copy = copy_of_commit(ROOT, work_dir / 'code')
    os.environ['PYTHONPATH'] = os.pathsep.join([str(copy), str(copy / 'benchmarks')])
    arguments = [*sys.argv[1:], '--repository', str(ROOT), '--work_dir', str(work_dir)]
    os.chdir(copy)  # python -m looks into the current folder first
    os.execv(sys.executable, [sys.executable, '-m', 'adaptation_study', *arguments])


if __name__ == '__main__':
    main()
