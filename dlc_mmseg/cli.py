"""The console script `dlc-mmseg`: one subcommand per tool, each imported only when it is the one called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from dlc_mmseg.errors import UserError
from dlc_mmseg.registration import register
from dlc_mmseg.version import __version__

COMMANDS = {
    'init': 'look at two data sets of your own and write a ready config',
    'configs': 'list or copy the configs that come with the package',
    'check': 'check a config and all files that training with it will read',
    'predict': 'map rasters of any size, georeferenced',
    'band-statistics': 'mean and standard deviation of each band of images, for the data preprocessor',
    'convert-potsdam': 'cut the ISPRS Potsdam data into tiles',
    'convert-vaihingen': 'cut the ISPRS Vaihingen data into tiles',
    'convert-whuoptsar': 'cut the WHU-OPT-SAR data into tiles',
    'convert-loveda': 'check the LoveDA data and put them where the configs expect them',
    'convert-raster': 'cut georeferenced rasters into tiles, labels from rasters or polygons',
    'convert-checkpoint': 'bring a checkpoint of the original preview code to MMSegmentation 1.x',
    'estimate-noise': 'show which classes a model confuses on images without labels',
    'compare': 'rank trained models by scores that need no labels',
    'export': 'write the network that predicts as a plain MMSegmentation model or as ONNX',
    'report': 'write one HTML page about training runs',
    'make-demo-data': 'draw aerial scenes in the raw ISPRS layouts',
}
"""Subcommands and their help; `make-demo-data` is the module `dlc_mmseg.commands.make_demo_data`."""

WITHOUT_FRAMEWORK = (
    'init',
    'configs',
    'convert-potsdam',
    'convert-vaihingen',
    'convert-whuoptsar',
    'convert-loveda',
    'convert-raster',
    'make-demo-data',
)
"""Those that start at once: they need neither PyTorch nor MMSegmentation, or only after their first answers."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        argv: Arguments without the program's name; those of the process when None.

    Returns:
        Exit status: 0; 2 after an error the user can correct, printed as one line; 130 when interrupted.

    Raises:
        SystemExit: From argparse, status 0 after `--help` and `--version`, 2 after a wrong argument.
    """
    argv = sys.argv[1:] if argv is None else argv
    args = _parse(argv)
    try:
        _module(args.command).run(args)
    except UserError as error:
        print(f'dlc-mmseg {args.command}: error: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f'dlc-mmseg {args.command}: interrupted', file=sys.stderr)
        return 130
    return 0


def console() -> None:
    """Run the command that the process was started with, and end with its status."""
    sys.exit(main())


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    description = 'Data, checkpoints and configs of Dynamic Loss Correction for MMSegmentation.'
    parser = argparse.ArgumentParser(prog='dlc-mmseg', description=description)
    parser.add_argument('--version', action='version', version=f'dlc-mmseg {__version__}')
    subparsers = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    called = next((word for word in argv if not word.startswith('-')), None)  # no option above takes a value
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter)
        if name == called:
            _module(name).configure(subparser)
    return parser.parse_args(argv)


def _module(command: str) -> ModuleType:
    if command not in WITHOUT_FRAMEWORK:
        register()
    return importlib.import_module(f'dlc_mmseg.commands.{command.replace("-", "_")}')
