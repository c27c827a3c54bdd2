"""Makes what lies beside the benchmarks importable."""

from __future__ import annotations

import sys
from pathlib import Path

BENCHMARKS = str(Path(__file__).resolve().parents[2] / 'benchmarks')
if BENCHMARKS not in sys.path:
    sys.path.append(BENCHMARKS)
