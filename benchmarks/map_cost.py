"""Memory and time of `dlc-mmseg predict` by the size of the image, and how far its blend is from a single pass.

    python benchmarks/map_cost.py CONFIG CHECKPOINT --image scene.tif [--sizes 2000 6000 20000] [--seam]

Images of the sizes are made of mirrored copies of ``--image``; each is mapped in a process of its own. Time on
a CPU is that of the processor, over all threads: other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from rasterio.transform import from_origin
from rasterio.windows import Window

from dlc_mmseg import cli
from dlc_mmseg.deploy.maps.window_classifier import WindowClassifier


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--image', required=True, help='RGB GeoTIFF to repeat')
    parser.add_argument('--sizes', nargs='+', type=int, default=[2000, 6000, 20000])
    parser.add_argument('--window', type=int, default=512)
    parser.add_argument('--overlap', type=int, default=128)
    parser.add_argument('--seam', action='store_true', help='compare with a single pass on 1024 pixels instead')
    parser.add_argument('--one', nargs=2, metavar=('IMAGE', 'OUT'), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args, *args.one)))
    elif args.seam:
        seam(args)
    else:
        table(args)


def table(args: argparse.Namespace) -> None:
    """One line per size."""
    print('| image | windows | time | in the network | peak memory |\n|---|---|---|---|---|')
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder, 'image.tif')
            repeat(args.image, image, size)
            command = [sys.executable, *sys.argv, '--one', str(image), str(Path(folder, 'map.tif'))]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
        share, memory = found['network'] / found['seconds'], found['kibibytes'] / 2**20
        line = f'{found["windows"]} | {found["seconds"]:.0f} s | {share:.0%} | {memory:.2f} GiB'
        print(f'| {size} x {size} | {line} |', flush=True)


def measure(args: argparse.Namespace, image: str, out: str) -> dict[str, Any]:
    """Map an image in this process; time is that after imports."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    spent = [0.0, 0]
    original = WindowClassifier.__call__

    def timed(self: WindowClassifier, images: torch.Tensor, nodata: torch.Tensor) -> torch.Tensor:
        started = clock()
        scores = original(self, images, nodata)
        if scores.is_cuda:
            torch.cuda.synchronize()
        spent[0] += clock() - started
        spent[1] += len(images)
        return scores

    WindowClassifier.__call__ = timed  # type: ignore[method-assign]
    started = clock()
    predict(args, image, out)
    seconds = clock() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {'seconds': seconds, 'network': spent[0], 'windows': spent[1], 'kibibytes': peak}


def seam(args: argparse.Namespace) -> None:
    """Differences of probabilities and labels to a single pass, with and without blending."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, 'image.tif')
        repeat(args.image, image, 1024)
        results = {}
        for name, window, overlap in (('single', 1024, 0), ('blended', 512, args.overlap), ('hard', 512, 0)):
            out = Path(folder, f'{name}.tif')
            args.window, args.overlap = window, overlap
            predict(args, str(image), str(out), '--probabilities', 'float32')
            with rasterio.open(out) as labels, rasterio.open(out.with_name(f'{name}_probabilities.tif')) as file:
                results[name] = labels.read(1), file.read()
    print('| windows of 512 | largest difference | mean difference | other label | largest step across a border |')
    print('|---|---|---|---|---|')
    for name in ('single', 'blended', 'hard'):
        (labels, scores), (reference, expected) = results[name], results['single']
        difference = np.abs(scores - expected)
        step = np.abs(np.diff(scores[:, :, 500:524] - expected[:, :, 500:524], axis=2)).max()
        line = f'{difference.max():.4f} | {difference.mean():.5f} | {np.mean(labels != reference):.3%} | {step:.4f}'
        print(f'| {name} | {line} |')


def predict(args: argparse.Namespace, image: str, out: str, *options: str) -> None:
    """Run the command."""
    windows = ['--window', str(args.window), '--overlap', str(args.overlap)]
    if cli.main(['predict', args.config, args.checkpoint, image, '--out', out, *windows, *options]):
        raise SystemExit('predict failed')


def repeat(source: str, path: Path, size: int) -> None:
    """A square image made of mirrored copies of another."""
    with rasterio.open(source) as file:
        pixels = file.read([1, 2, 3])
    profile = {'driver': 'GTiff', 'height': size, 'width': size, 'count': 3, 'dtype': 'uint8', 'photometric': 'RGB'}
    profile |= {'crs': 'EPSG:32633', 'transform': from_origin(4e5, 5.5e6, 0.1, 0.1), 'tiled': True}
    columns = _mirrored(size, pixels.shape[2])
    with rasterio.open(path, 'w', **profile) as file:
        for top in range(0, size, 256):
            rows = _mirrored(size, pixels.shape[1])[top : top + 256]
            file.write(pixels[:, rows][:, :, columns], window=Window(0, top, size, len(rows)))


def _mirrored(size: int, period: int) -> np.ndarray:
    index = np.arange(size) % (2 * period)
    return np.minimum(index, 2 * period - 1 - index)


if __name__ == '__main__':
    main()
