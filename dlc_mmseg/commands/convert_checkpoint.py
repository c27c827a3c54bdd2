"""`dlc-mmseg convert-checkpoint`: bring a checkpoint of the original preview code to MMSegmentation 1.x."""

from __future__ import annotations

import argparse
from pathlib import Path

from dlc_mmseg.deploy.legacy.checkpoint_files import convert_checkpoint
from dlc_mmseg.deploy.legacy.conversion import Conversion

_EPILOG = """examples:
  dlc-mmseg convert-checkpoint release.pth converted.pth --config configs/dlc_potirrg2vai.py
  mim test mmsegmentation configs/dlc_potirrg2vai.py --checkpoint converted.pth

  dlc-mmseg convert-checkpoint mit_b5.pth mit_b5_mmseg.pth   # SegFormer's ImageNet weights, for init_cfg

A release checkpoint (student, teacher, transition matrix) becomes one of DLCSegmentor; with a config of a plain
segmentor, its student alone. A checkpoint of one segmentor keeps plain keys. The source may come from anywhere:
only tensors and plain values are read.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = (
        'Convert a checkpoint of the DLC, MIC, HRDA or DAFormer release, or SegFormer ImageNet weights.'
    )
    parser.epilog = _EPILOG
    parser.add_argument('source', metavar='SRC', type=Path, help='checkpoint to read')
    parser.add_argument('destination', metavar='DST', type=Path, help='checkpoint to write')
    help_config = 'model that shall load it: each of its tensors must be filled (default: read from the shapes)'
    parser.add_argument('--config', metavar='CONFIG', type=Path, help=help_config)
    parser.add_argument('--verbose', action='store_true', help='list every key that is mapped or dropped')


def run(args: argparse.Namespace) -> None:
    """Convert and say what became of every key.

    Args:
        args: `source`, `destination`, `config` and `verbose`.

    Raises:
        UserError: If the source cannot be read or does not fit.
    """
    conversion = convert_checkpoint(args.source, args.destination, args.config)
    print(f'{args.source}: {conversion.description}')
    for line in _report(conversion, verbose=args.verbose):
        print(f'  {line}')
    print(f'{args.destination}: {len(conversion.state)} tensors written')


def _report(conversion: Conversion, *, verbose: bool) -> list[str]:
    mapped = sum(len(names) for names in conversion.origin.values())
    lines = [f'{mapped} source keys mapped, {len(conversion.dropped)} dropped']
    if verbose:
        lines += [f'{" + ".join(names)} -> {key}' for key, names in conversion.origin.items()]
    groups: dict[tuple[str, str], list[str]] = {}
    for key, reason in conversion.dropped.items():
        groups.setdefault((key.partition('.')[0], reason), []).append(key)
    for (root, reason), keys in groups.items():
        names = ', '.join(keys) if verbose or len(keys) <= 4 else f'{root}.* ({len(keys)} keys)'
        lines.append(f'dropped: {names}: {reason}')
    if conversion.fresh:
        lines.append(f'start afresh: {", ".join(conversion.fresh)}')
    return lines
