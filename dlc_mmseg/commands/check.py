"""`dlc-mmseg check`: everything that would stop or spoil a training run, in one list."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

from dlc_mmseg.checks import Options, Report, check_config, printable
from dlc_mmseg.commands._config_file import add_config_changes, read_config
from dlc_mmseg.commands._progress import progress_bar
from dlc_mmseg.errors import UserError

_EPILOG = """One line per problem: file or field, what is wrong, what to do. Exit status 2 if there are errors, else 0.

example:
  dlc-mmseg check configs/dlc_custom.py
  dlc-mmseg check configs/dlc_potirrg2vai.py --quick --cfg-options train_dataloader.batch_size=4
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = 'Check a config and all files that training with it will read; nothing is written or trained.'
    parser.epilog = _EPILOG
    parser.add_argument('config', metavar='CONFIG', type=Path, help='the config file to train with')
    help_quick = 'read the headers of all files, but decode only a sample of them, as every training run does itself'
    parser.add_argument('--quick', action='store_true', help=help_quick)
    help_work_dir = 'as in `mim train`; by default that of the config, or work_dirs/NAME'
    parser.add_argument('--work-dir', metavar='DIR', help=help_work_dir)
    add_config_changes(parser)


def run(args: argparse.Namespace) -> None:
    """Check, and print what is found.

    Args:
        args: `config`, `quick`, `work_dir` and `cfg_options`.

    Raises:
        UserError: If the config cannot be read, or errors were found (which are printed before).
    """
    config = read_config(args.config, args.cfg_options)
    if args.work_dir or not config.get('work_dir'):
        config.work_dir = args.work_dir or str(Path('work_dirs', args.config.stem))
    options = Options(full=not args.quick, config_file=str(args.config), track=progress_bar)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of model parts that are built: they come again in training
        report = check_config(config.to_dict(), options)
    _print(report, printable(str(args.config)))


def _print(report: Report, config: str) -> None:
    for severity, problems in (('error', report.errors), ('warning', report.warnings)):
        for problem in problems:
            print(f'{severity}: {problem.line}')
    if report.errors:
        number, warned = len(report.errors), len(report.warnings)
        tail = f' and {warned} warning{"s" if warned > 1 else ""}' if warned else ''
        what = f'{number} error{"s" if number > 1 else ""}{tail} in {report.counts}'
        raise UserError(config, what, 'correct what is listed above')
    number = len(report.warnings)
    found = f'{number} warning{"s" if number > 1 else ""}, no errors' if number else 'no problems found'
    print(f'{found} in {report.counts}')
