"""Results of finished runs: one small JSON each, and which runs are still to do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from adaptation_study.variants import VARIANTS
from dlc_mmseg.files.atomic_writing import write_atomically


class Run(NamedTuple):
    """One training run.

    Attributes:
        data: Key of `DATA`.
        variant: Key of `VARIANTS`.
        seed: Seed of training.
    """

    data: str
    variant: str
    seed: int

    @property
    def name(self) -> str:
        """Name of the result file, without suffix."""
        return f'{self.data}_{self.variant}_seed{self.seed}'


class Identity(NamedTuple):
    """What figures must share to be compared.

    Attributes:
        config: Fingerprint of the config without its seed.
        data: Fingerprint of the data; None where they are not here to be looked at, which fits all.
    """

    config: str
    data: str | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """Figures of a finished run on the labelled target validation tiles, in percent.

    Attributes:
        data: Key of `DATA`.
        variant: Key of `VARIANTS`.
        seed: Seed of training.
        last: ``mIoU``, ``mF1`` and ``OA`` after the last iteration.
        class_iou: IoU of each class after the last iteration.
        predicted_shares: Share of each class in the predictions after the last iteration; empty in older results.
        labelled_shares: The same of the labels.
        student_miou: mIoU of the student with statistics of its own after the last iteration; None in older results.
        student_class_iou: Its IoU of each class.
        best_miou: Largest mIoU of any validation, chosen on the same labels.
        iterations: Iterations trained.
        transition: Lines of `TransitionErrorHook` over training, the last one after the last iteration: mean
            |T - true T| of the T that corrected (the identity where none is learnt), and of the identity.
        fingerprint: Of the config, without seed.
        data_fingerprint: Of images and labels.
        commit: Commit of the code that trained.
        code: Hash of the package's folder in that commit.
        seconds: Wall-clock time of training and validation; of its last part where it was resumed.
        resumed: Whether the run was interrupted and went on.
        threads: Threads of the process.
        machine: Processor, cores, versions.
    """

    data: str
    variant: str
    seed: int
    last: dict[str, float]
    class_iou: dict[str, float | None]
    predicted_shares: dict[str, float | None] = field(default_factory=dict)
    labelled_shares: dict[str, float | None] = field(default_factory=dict)
    student_miou: float | None = None
    student_class_iou: dict[str, float | None] = field(default_factory=dict)
    best_miou: float
    iterations: int
    transition: list[dict[str, Any]] = field(default_factory=list)
    fingerprint: str
    data_fingerprint: str
    commit: str
    code: str
    seconds: float
    resumed: bool
    threads: int
    machine: str

    @property
    def run(self) -> Run:
        """The run it belongs to."""
        return Run(self.data, self.variant, self.seed)

    def fits(self, identity: Identity) -> bool:
        """Whether it was measured with this config on these data."""
        return self.fingerprint == identity.config and identity.data in (None, self.data_fingerprint)


def write_result(folder: Path, result: Result) -> Path:
    """Write a result's file, whole or not at all; its path."""
    path = folder / f'{result.run.name}.json'
    lines = ',\n'.join(f' {json.dumps(name)}: {json.dumps(value)}' for name, value in asdict(result).items())
    write_atomically(path, f'{{\n{lines}\n}}\n'.encode())
    return path


def read_results(folder: Path) -> dict[Run, Result]:
    """All results of a folder.

    Args:
        folder: Where `write_result` wrote them; it need not exist.

    Raises:
        SystemExit: If a file is not what `write_result` writes.
    """
    results = {}
    for path in sorted(folder.glob('*.json')):
        try:
            result = Result(**json.loads(path.read_text(encoding='utf-8')))
        except (TypeError, ValueError) as error:
            raise SystemExit(f'{path}: no result of this benchmark ({error}); remove it') from error
        results[result.run] = result
    return results


def in_order(runs: Iterable[Run]) -> list[Run]:
    """Runs that do not depend on the estimator of T first, then seed by seed."""
    order = {name: (variant.estimates, number) for number, (name, variant) in enumerate(VARIANTS.items())}
    return sorted(runs, key=lambda run: (order[run.variant][0], run.seed, run.data, order[run.variant][1]))


def pending(
    runs: Iterable[Run],
    results: Mapping[Run, Result],
    identities: Mapping[tuple[str, str], Identity],
    code: str | None = None,
) -> tuple[list[Run], list[str]]:
    """Runs that have no result, or one that was measured differently.

    Args:
        runs: What is asked for.
        results: What is there.
        identities: Of every (data, variant) asked for.
        code: Hash of the package; results of other code are then measured again, too.

    Returns:
        The runs to do, in order, and a line about each result that no longer fits.
    """
    to_do, reports = [], []
    for run in in_order(runs):
        result, identity = results.get(run), identities[run.data, run.variant]
        if result is None:
            to_do.append(run)
        elif not result.fits(identity):
            to_do.append(run)
            what = 'config' if result.fingerprint != identity.config else 'data'
            reports.append(f'{run.name}: measured with another {what} (commit {result.commit[:10]}), runs again')
        elif code is not None and result.code != code:
            to_do.append(run)
            reports.append(f'{run.name}: measured with other code (commit {result.commit[:10]}), runs again')
    return to_do, reports


def data_fingerprint(folder: Path) -> str | None:
    """Hash of the names and contents of all tiles below a folder; None without any.

    Args:
        folder: Folder of PNG and JPEG files. PNGs count as decoded, so that the compressing library does not matter.
    """
    digest = hashlib.sha256()
    paths = sorted(path for path in folder.rglob('*') if path.suffix in ('.png', '.jpg'))
    for path in paths:
        digest.update(path.relative_to(folder).as_posix().encode())
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.suffix == '.png' else None
        digest.update(path.read_bytes() if pixels is None else pixels.tobytes())
    return digest.hexdigest()[:12] if paths else None
