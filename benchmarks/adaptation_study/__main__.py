"""The benchmark itself, started by `benchmarks/adaptation.py` from a copy of the last commit."""

from __future__ import annotations

import argparse
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from importlib.util import find_spec
from pathlib import Path

from mmengine.registry import init_default_scope

import dlc_mmseg
from adaptation_study import gains
from adaptation_study.arguments import parse_arguments
from adaptation_study.demo_data import make_demo_data
from adaptation_study.gains import format_gains
from adaptation_study.repository import commit_file, git
from adaptation_study.results import (
    Identity,
    Result,
    Run,
    data_fingerprint,
    in_order,
    pending,
    read_results,
    write_result,
)
from adaptation_study.running import Place, RunFailedError, stop_all, train
from adaptation_study.table import MARKERS, format_tables, notes, update_readme
from adaptation_study.variants import DATA, VARIANTS, compose, fingerprint

RESULTS = Path('benchmarks/results/adaptation')
CODE = Path(__file__).resolve().parents[2]

Identities = dict[tuple[str, str], Identity]


def main() -> None:
    """Run what is missing, list it, or write the tables; exits with 1 if a run failed."""
    args = parse_arguments(__doc__ or '')
    _check_names('--data', args.data, list(DATA))
    _check_names('--variants', args.variants, list(VARIANTS))
    assert Path(dlc_mmseg.__file__).is_relative_to(CODE), f'{dlc_mmseg.__file__} is not the code of {CODE}'
    init_default_scope('mmseg')
    if not (args.list or args.table) and 'demo' in (args.data or DATA):
        make_demo_data(args.repository)
    identities = identify(args.repository, args.data or list(DATA))
    if args.table:
        write_tables(args, identities)
    else:
        raise SystemExit(run_missing(args, identities))


def identify(repository: Path, wanted: Sequence[str]) -> Identities:
    """Fingerprints of every data set and variant; says which of the wanted data are not here."""
    found: Identities = {}
    for name, domains in DATA.items():
        folder = (repository / domains.folder).resolve()
        tiles = data_fingerprint(folder)
        if tiles is None and name in wanted:
            print(f'{name}: no tiles in {folder}, its runs are left out')
        if domains.package is not None and find_spec(domains.package) is None:
            tiles = None
            if name in wanted:
                print(f'{name}: needs {domains.package} (pip install "dlc-mmseg[bench]"), its runs are left out')
        for variant in VARIANTS:
            found[name, variant] = Identity(fingerprint(compose(name, variant, CODE), CODE), tiles)
    return found


def run_missing(args: argparse.Namespace, identities: Identities) -> int:
    """Train every run without a result, or list them; 1 if one failed."""
    runs = [
        Run(name, variant, seed)
        for name in args.data or DATA
        for variant in args.variants or VARIANTS
        for seed in args.seeds or DATA[name].seeds
        if identities[name, variant].data is not None
    ]
    package = git(args.repository, 'rev-parse', f'{CODE.name}:dlc_mmseg')
    results = read_results(args.repository / RESULTS)
    to_do, reports = pending(runs, results, identities, package if args.again else None)
    print('\n'.join([*reports, f'{len(runs) - len(to_do)} of {len(runs)} runs are done']), flush=True)
    if args.list:
        print('\n'.join(run.name for run in to_do))
        return 0
    place = Place(args.repository, CODE, args.work_dir, CODE.name, package, args.gpus, args.threads)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(args.jobs) as executor:
        futures = {executor.submit(train, run, place, identities[run[:2]]): run for run in to_do}
        try:
            return int(not keep_results(futures, args))
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)  # what follows takes a moment
            executor.shutdown(wait=False, cancel_futures=True)
            stop_all()
            raise SystemExit('interrupted; the next call goes on from the last checkpoints') from None


def keep_results(futures: dict[Future[Result], Run], args: argparse.Namespace) -> bool:
    """Write (and commit) each result when its run ends; whether all succeeded."""
    started, failed = time.monotonic(), 0
    for number, future in enumerate(as_completed(futures), 1):
        name = futures[future].name
        head = f'[{number}/{len(futures)}, {(time.monotonic() - started) / 60:.0f} min] {name}:'
        try:
            result = future.result()
        except RunFailedError as error:
            print(head, error, flush=True)
            failed += 1
            continue
        path = write_result(args.repository / RESULTS, result)
        figures = f'mIoU {result.last["mIoU"]:.2f}, best {result.best_miou:.2f}'
        print(head, f'{figures}, {result.seconds:.0f} s', flush=True)
        if args.commit:
            _commit(args.repository, path, f'Adaptation benchmark: {name}, {figures}')
    return not failed


def write_tables(args: argparse.Namespace, identities: Identities) -> None:
    """Print the tables and what is missing in them, and write them into README.md and the README of the benchmarks."""
    results = read_results(args.repository / RESULTS)
    runs = in_order(Run(name, variant, seed) for name in DATA for variant in VARIANTS for seed in DATA[name].seeds)
    missing, reports = pending(runs, results, identities)
    short, long = format_gains(results, identities), format_tables(results, identities)
    print('\n'.join([short, '', long, '', *reports, *notes(results, runs, missing)]))
    for folder, markers, text in (('.', gains.MARKERS, short), ('benchmarks', MARKERS, long)):
        readme = args.repository / folder / 'README.md'
        if update_readme(readme, text, markers) and args.commit:
            _commit(args.repository, readme, f'{folder}/README.md: adaptation tables of all results so far')


def _commit(repository: Path, path: Path, message: str) -> None:
    """Commit a file; the file stays where git refuses, and the next runs go on."""
    try:
        commit_file(repository, path, message)
    except subprocess.CalledProcessError as error:
        print(f'{path}: not committed: {error.stderr.strip()}', flush=True)


def _check_names(option: str, names: Sequence[str] | None, known: list[str]) -> None:
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise SystemExit(f'{option} {" ".join(unknown)}: choose from {" ".join(known)}')


if __name__ == '__main__':
    main()
