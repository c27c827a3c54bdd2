"""`dlc-mmseg configs`: list the configs that come with the package, or copy them to be edited."""

from __future__ import annotations

import argparse
import filecmp
import shutil
from pathlib import Path

from dlc_mmseg.errors import UserError

_EPILOG = """example:
  dlc-mmseg configs                  # one line per config
  dlc-mmseg configs --copy configs   # then: mim train mmsegmentation configs/dlc_demo.py --gpus 0
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the subcommand.

    Args:
        parser: The subcommand's own parser.
    """
    parser.description = 'List the configs that come with the package, or copy all of them, bases included.'
    parser.epilog = _EPILOG
    help_copy = 'copy all into DIR; files changed there are never overwritten'
    parser.add_argument('--copy', metavar='DIR', type=Path, help=help_copy)


def run(args: argparse.Namespace) -> None:
    """List or copy the configs.

    Args:
        args: `copy`, the folder to copy to, or None to list.

    Raises:
        UserError: If a file to be written is there with other content, or the folder cannot be written.
    """
    if args.copy is None:
        for path in config_files():
            if path.suffix == '.py' and '_base_' not in path.parts:
                print(f'{path}  {_summary(configs_folder() / path)}'.rstrip())
    else:
        count = copy_configs(args.copy)
        print(f'{args.copy}: {count} files copied, {len(config_files()) - count} already there')


def configs_folder() -> Path:
    """Folder of the configs: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def config_files() -> list[Path]:
    """Paths of all files that belong to the configs, relative to `configs_folder()` and sorted."""
    folder = configs_folder()
    found = (path.relative_to(folder) for path in folder.rglob('*') if path.is_file())
    return sorted(path for path in found if '__pycache__' not in path.parts)


def copy_configs(destination: Path) -> int:
    """Copy every config file to a folder, keeping the tree so that `_base_` paths stay valid.

    Args:
        destination: Folder that receives the tree; made where it is absent.

    Returns:
        How many files were written; those already there with the same content are left alone.

    Raises:
        UserError: If a file is there with other content (then nothing is written), or on a failure to write.
    """
    source = configs_folder()
    try:
        missing = [path for path in config_files() if not (destination / path).exists()]
        changed = [
            path
            for path in config_files()
            if path not in missing and not filecmp.cmp(source / path, destination / path, shallow=False)
        ]
        if changed:
            raise UserError(
                destination / changed[0],
                f'differs from the config of the same name ({len(changed)} such)',
                'move it away or give another folder to --copy',
            )
        for path in missing:
            (destination / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / path, destination / path)
    except OSError as error:
        raise UserError(error.filename, error.strerror or str(error), 'give --copy a writable folder') from error
    return len(missing)


def _summary(path: Path) -> str:
    for line in path.read_text(encoding='utf-8').splitlines():
        text = line.strip().lstrip('#').strip('"\' ')
        if text:
            return text
    return ''
