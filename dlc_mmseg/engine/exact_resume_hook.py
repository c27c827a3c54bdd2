"""Runs that end in the same weights whether or not they were interrupted."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import barrier, broadcast, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS

from dlc_mmseg.engine.iteration_randomness import seed_iteration
from dlc_mmseg.engine.resumed_schedule import ConfigSchedule
from dlc_mmseg.files.latest_checkpoint import choose_latest


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Makes a run that was killed and resumed equal to one that was not, bit by bit on a CPU.

    Before every iteration the random generators are seeded from the run's seed, the process' rank and the
    iteration's number, so that nothing has to be saved and neither validation nor pictures in between change what
    training draws. Processes draw differently. `PairedDomainSampler` gets the seed that the checkpoint was trained
    with. On ``--resume`` a checkpoint that a kill cut off gives way to the one before it, and a schedule that the
    config changed since takes effect: rates go on as if the run had had it from its start.

    Belongs in ``default_hooks``, whose entries child configs keep: a child's ``custom_hooks`` replaces that list.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._seed = 0
        self._schedule: ConfigSchedule | None = None
        self._changes: list[str] = []

    def before_run(self, runner: Runner) -> None:
        """Find a complete checkpoint to resume from; keep two, so that one is there while the next is written."""
        if runner._resume and isinstance(getattr(runner, '_train_loop', None), BaseLoop):  # not to validate or test
            self._schedule = ConfigSchedule(runner)
        for hook in _checkpoint_hooks(runner):
            if hook.max_keep_ckpts == 1:
                hook.max_keep_ckpts = 2
                runner.logger.info('max_keep_ckpts=1 leaves no checkpoint while the next is written: two are kept')
        if runner._resume and runner._load_from is None:
            if is_main_process():
                choose_latest(Path(runner.work_dir))
            barrier()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Notice a schedule other than the config's."""
        self._changes = self._schedule.differences(checkpoint) if self._schedule is not None else []

    def before_train(self, runner: Runner) -> None:
        """Share the run's seed among the processes and with the sampler; let the config's schedule take effect."""
        if self._schedule is not None and self._changes:
            self._schedule.apply(runner)
            runner.logger.info(f'the schedule was changed since the checkpoint: {", ".join(self._changes[:8])}')
        seed = torch.tensor(int(runner.seed))
        broadcast(seed)  # with diff_rank_seed, MMEngine's differ by rank
        self._seed = int(seed)
        sampler = getattr(runner.train_dataloader, 'sampler', None)
        if sampler is not None and hasattr(sampler, 'set_seed'):
            sampler.set_seed(self._seed)
        accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        for hook in _checkpoint_hooks(runner):
            if hook.interval > 0 and hook.interval % accumulated:
                runner.logger.log(
                    logging.WARNING,
                    f'checkpoints every {hook.interval} iterations hold no gradients accumulated over {accumulated}: '
                    f'give an interval that is a multiple, or a resumed run loses part of a step',
                )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict[str, Any] | tuple[Any, ...] | list[Any] | None = None
    ) -> None:
        """Seed the iteration's draws."""
        seed_iteration(self._seed, runner.rank, runner.iter)


def _checkpoint_hooks(runner: Runner) -> list[CheckpointHook]:
    return [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
