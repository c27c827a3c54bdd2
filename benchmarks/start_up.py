"""Processor seconds and peak memory of commands, beside importing everything; and of a conversion's processes.

    python benchmarks/start_up.py

Linux only. The conversion cuts two drawn tiles of 6000 x 6000 pixels with two images each, as ISPRS Potsdam has them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ALL = 'import dlc_mmseg'
COMMAND = 'import sys, dlc_mmseg_cli; sys.argv[0] = "dlc-mmseg"; dlc_mmseg_cli.console()'
WITH_ALL = 'import sys; from dlc_mmseg.cli import console; sys.argv[0] = "dlc-mmseg"; console()'
TILE = 6000


def cost(code: str, *arguments: str) -> tuple[float, float]:
    """Processor seconds and peak MiB of a Python process; the least of three runs."""
    runs = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, '-c', code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (code, arguments)
        runs.append((usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
    return min(runs)


def draw_tiles(folder: Path) -> None:
    """Two raw tiles with an infrared-red-green and a red-green-blue image each."""
    colours = np.random.default_rng(0).integers(0, 256, (TILE // 10, TILE // 10, 3), dtype=np.uint8)
    image = Image.fromarray(colours.repeat(10, axis=0).repeat(10, axis=1))
    label = np.full((TILE, TILE, 3), 255, np.uint8)
    label[: TILE // 2, :, :2] = 0
    for tile in ('2_10', '2_11'):
        for place, kind in (('2_Ortho_RGB', 'RGB'), ('3_Ortho_IRRG', 'IRRG'), ('5_Labels_all', 'label')):
            path = folder / place / f'top_potsdam_{tile}_{kind}.tif'
            path.parent.mkdir(parents=True, exist_ok=True)
            (Image.fromarray(label) if kind == 'label' else image).save(path)


def conversion_peaks(code: str, raw: Path, out: Path) -> list[float]:
    """Peak MiB of each process of a conversion with two workers, largest first."""
    arguments = ['convert-potsdam', '--dataset_path', str(raw), '--out_dir', str(out), '--workers', '2']
    process = subprocess.Popen(
        [sys.executable, '-c', code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peaks = {process.pid: 0.0}
    while process.poll() is None:
        for entry in Path('/proc').glob('[0-9]*/status'):
            try:
                fields = dict(line.split(':', 1) for line in entry.read_text().splitlines() if ':' in line)
            except OSError:  # it has ended
                continue
            pid, parent = int(fields['Pid']), int(fields['PPid'])
            if 'VmHWM' in fields and (pid in peaks or parent in peaks):
                peaks[pid] = int(fields['VmHWM'].split()[0]) / 1024
        time.sleep(0.02)
    assert process.returncode == 0
    return sorted(peaks.values(), reverse=True)


def main() -> None:
    """Measure and print."""
    seconds, memory = cost(ALL)
    print(f'{"import dlc_mmseg":36} {seconds:6.2f} s {memory:6.0f} MiB')
    for arguments in (
        ['--help'],
        ['--version'],
        ['configs'],
        ['convert-potsdam', '--help'],
        ['make-demo-data', '--help'],
    ):
        taken, used = cost(COMMAND, *arguments)
        share = f'{taken / seconds:6.3f} x {used / memory:6.3f} x'
        print(f'{"dlc-mmseg " + " ".join(arguments):36} {taken:6.2f} s {used:6.0f} MiB   {share}')
    with tempfile.TemporaryDirectory() as folder:
        draw_tiles(Path(folder, 'raw'))
        for name, code in (('convert-potsdam, a worker', COMMAND), ('the same with everything imported', WITH_ALL)):
            peaks = conversion_peaks(code, Path(folder, 'raw'), Path(folder, name))
            print(f'{name:36} {"":8} {peaks[0]:6.0f} MiB')


if __name__ == '__main__':
    main()
