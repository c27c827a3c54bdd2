"""Jobs of a conversion run under a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dlc_mmseg.converters.workers import run_jobs


def run_tiles(
    description: str,
    function: Callable[..., Sequence[str]],
    jobs: Sequence[tuple[object, ...]],
    *,
    total: int,
    workers: int,
) -> None:
    """Call a function once per tile, show how many are done, and print what it remarks.

    Args:
        description: What is done, for the bar.
        function: As for `run_jobs`; returns remarks for the user.
        jobs: Arguments of each call.
        total: Tiles in all; those without a job count as done.
        workers: Processes.

    Raises:
        UserError: As the function, or if a process dies.
    """
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        bar = progress.add_task(description, total=total, completed=total - len(jobs))
        for remarks in run_jobs(function, jobs, workers):
            progress.advance(bar)
            for remark in remarks:
                progress.console.print(remark, markup=False, highlight=False, soft_wrap=True)
