"""The checks of `dlc-mmseg check` at the start of every training run."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any, Literal

from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank
from mmengine.hooks import Hook
from mmengine.logging import MMLogger, print_log
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import HOOKS, RUNNERS
from torch import nn
from torch.utils.data import DataLoader

from dlc_mmseg.checks import Options, Report, check_config
from dlc_mmseg.checks.equal_names import REMEDY, equal_names
from dlc_mmseg.checks.report import Problem, one_line
from dlc_mmseg.engine.console import quiet_console
from dlc_mmseg.errors import UserError
from dlc_mmseg.files.checkpoint_loaders import register_safe_loaders
from dlc_mmseg.files.local_backend import register_atomic_backend

Mode = Literal['quick', 'full', 'off']


class PreflightError(UserError):
    """What the checks found, one problem per line below a headline.

    Args:
        problems: The problems that must be solved, at least one.
        cause: What stopped the run where the checks only know why; it comes first.

    Attributes:
        problems: As given.
        cause: As given.
    """

    def __init__(self, problems: Sequence[Problem], cause: str | None = None) -> None:
        number = len(problems)
        what = f'{number} problem{"s" if number > 1 else ""} to solve before training'
        super().__init__(None, what, 'see also `dlc-mmseg check CONFIG`')
        self.problems = tuple(problems)
        self.cause = cause

    def __str__(self) -> str:
        lines = [f'{self.what} ({self.remedy}):', *(f'  {problem.line}' for problem in self.problems)]
        return '\n'.join(lines if self.cause is None else [self.cause, *lines])

    def __reduce__(self) -> tuple[type[UserError], tuple[object, ...]]:
        """Keep the problems when the error crosses processes."""
        return type(self), (self.problems, self.cause)


@HOOKS.register_module()
class PreflightHook(Hook):
    """Checks data, model, schedule and disk before the first iteration, and reports all problems at once.

    Put it into ``default_hooks``: child configs that set ``custom_hooks`` keep it. With
    ``runner_type='PreflightRunner'`` it comes before the datasets are built, which stop at the first problem of
    theirs; with MMEngine's own Runner it comes right after. Only training is checked. One process checks, all stop.

    Args:
        mode: ``quick`` reads the headers of all files and decodes a sample, in seconds; ``full`` decodes every file;
            ``off`` checks nothing.

    Raises:
        ValueError: If the mode is unknown.
    """

    priority = 'VERY_HIGH'

    def __init__(self, mode: Mode = 'quick') -> None:
        if mode not in ('quick', 'full', 'off'):
            raise ValueError(f"mode is {mode!r}: choose 'quick', 'full' or 'off'")
        self.mode = mode
        self._done = False

    def before_run(self, runner: Runner) -> None:
        """Check, unless the runner is about to validate or test, or has called `check` before.

        Args:
            runner: The runner.

        Raises:
            UserError: If there are errors, one line each.
        """
        if isinstance(runner._train_loop, BaseLoop):
            self.check(runner)

    def before_val(self, runner: Runner) -> None:
        """Refuse to write the maps of several images into one file.

        Args:
            runner: The runner.

        Raises:
            UserError: If an evaluator writes maps, and images share their names.
        """
        if self.mode != 'off':
            _check_names('val_evaluator', runner.val_evaluator, runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """The same for the test, and say how pictures (``--show-dir``) of images with one name can be told apart.

        Args:
            runner: The runner.

        Raises:
            UserError: If an evaluator writes maps, and images share their names.
        """
        if self.mode == 'off':
            return
        _check_names('test_evaluator', runner.test_evaluator, runner.test_dataloader)
        drawn = (getattr(hook, 'draw', False) is True for hook in runner.hooks)  # hooks of MMSegmentation and of ours
        if any(drawn) and equal_names(_image_paths(runner.test_dataloader)) is not None:
            text = 'Images share file names: their pictures are numbered in the order of the images'
            print_log(text, logger='current', level=logging.WARNING)

    def check(self, runner: Runner) -> None:
        """Check once; warnings go to the log.

        Args:
            runner: The runner, with its config and model.

        Raises:
            UserError: If there are errors, one line each.
        """
        if self.mode == 'off' or self._done or not runner.cfg.get('train_dataloader'):
            return
        self._done = True
        outcome: list[list[Problem]] = [[]]
        if get_rank() == 0:
            report = _try_check(runner.cfg, self.mode, runner.model)
            outcome = [report.errors]
        broadcast_object_list(outcome)
        if outcome[0]:
            raise PreflightError(outcome[0])


@RUNNERS.register_module()
class PreflightRunner(Runner):
    """MMEngine's Runner, which lets `PreflightHook` check before it builds the datasets, and keeps the console short.

    A config asks for it with ``runner_type='PreflightRunner'``, which `mim train` and `mim test` follow. If the model
    or another part cannot be built and the checks know why, all problems of the config are reported below that one.
    Config, environment and the order of hooks are written to the log file only (`quiet_console`).
    Like `dlc_mmseg.safe_files` it replaces MMEngine's checkpoint loaders and local files, for the whole process.
    """

    def build_logger(self, log_level: int | str = 'INFO', log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """MMEngine's logger, whose console shows what is for people.

        Args:
            log_level: Of the handlers.
            log_file: None puts it into the run's folder.
            kwargs: Further arguments of `MMLogger`.
        """
        logger = super().build_logger(log_level, log_file, **kwargs)
        quiet_console(logger)
        return logger

    @classmethod
    def from_cfg(cls, cfg: Any) -> Runner:
        """Build a runner.

        Args:
            cfg: The config.

        Returns:
            The runner.

        Raises:
            UserError: If a part cannot be built and the checks know why.
        """
        register_atomic_backend()
        register_safe_loaders()
        try:
            runner: Runner = super().from_cfg(cfg)
        except Exception as error:  # anything a part may raise while it is built
            hook = (cfg.get('default_hooks') or {}).get('preflight') or {'mode': 'off'}
            mode = hook.get('mode', 'quick')
            report = _try_check(cfg, mode, None) if mode != 'off' and get_rank() == 0 else Report()
            if not any(_is_built(problem.where, cfg) for problem in report.errors):
                raise
            first = shorten(one_line(error), 200, placeholder=' ..')
            raise PreflightError(report.errors, f'{type(error).__name__}: {first}') from error
        return runner

    def train(self) -> nn.Module:
        """Check, then train.

        Returns:
            The trained model.

        Raises:
            UserError: If the checks find errors, one line each.
        """
        for hook in self.hooks:
            if isinstance(hook, PreflightHook):
                hook.check(self)
        model: nn.Module = super().train()
        return model


def _try_check(config: Config, mode: Mode, model: nn.Module | None) -> Report:
    """Check and log warnings. A mistake in the checks themselves stops nothing."""
    started = time.monotonic()
    options = Options(full=mode == 'full', keep_statistics=True, config_file=config.filename)
    try:
        report = check_config(config.to_dict(), options, model=model)
    except Exception as error:  # noqa: BLE001
        reason = f'{type(error).__name__}: {error}'
        print_log(f'Preflight gave up ({reason}); training goes on', logger='current', level=logging.WARNING)
        return Report()
    for problem in report.warnings:
        print_log(f'Preflight: {problem.line}', logger='current', level=logging.WARNING)
    if not report.errors:
        print_log(f'Preflight: {report.counts}, {time.monotonic() - started:.1f} s', logger='current')
    return report


def _check_names(name: str, evaluator: Any, dataloader: DataLoader[Any]) -> None:
    """MMSegmentation's metrics write ``{stem}.png`` into one folder, whatever folder the image is from."""
    if any(getattr(metric, 'output_dir', None) for metric in evaluator.metrics):
        shared = equal_names(_image_paths(dataloader))
        if shared is not None:
            raise UserError(f'{name}.output_dir', shared.what, REMEDY)


def _image_paths(dataloader: DataLoader[Any]) -> list[str]:
    dataset: Any = dataloader.dataset
    infos = (dataset.get_data_info(index) for index in range(len(dataset))) if hasattr(dataset, 'get_data_info') else ()
    return [info['img_path'] for info in infos if 'img_path' in info]


def _is_built(where: str, config: Mapping[str, Any]) -> bool:
    """Whether a problem lies in what a Runner builds from the start: in a field of the config, but in no dataset."""
    return where.partition('.')[0] in config and '.dataset' not in where
