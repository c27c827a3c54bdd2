"""The images that a command looks at: the config's test data, or a folder."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from dlc_mmseg.commands._spelling import add_option
from dlc_mmseg.deploy.noise.image_folder import config_dataset, folder_dataset
from dlc_mmseg.errors import UserError


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--images`` and the options that belong to it, and ``--max_images``.

    Args:
        parser: Where to add them.
    """
    help_images = "folder of images, subfolders included (default: the config's test data)"
    add_option(parser, 'images', metavar='DIR', type=Path, help=help_images)
    add_option(parser, 'suffix', help="how image names end, such as .tif (default: as in the config's data)")
    help_labels = "folder of label images for --images, in the encoding of the config's data; used to compare only"
    add_option(parser, 'labels', metavar='DIR', type=Path, help=help_labels)
    add_option(parser, 'label_suffix', metavar='SUFFIX', help='how names of label images end, likewise')
    help_most = 'images to take at most, evenly spread (default: all)'
    add_option(parser, 'max_images', metavar='N', type=at_least(1), help=help_most)


def chosen_dataset(args: argparse.Namespace, config: Config) -> Any:
    """The dataset that the options of `add_image_options` name.

    Args:
        args: With these options.
        config: Config of the model.

    Returns:
        A built dataset.

    Raises:
        UserError: If there is none, or options are given that belong to a folder.
    """
    if args.images is not None:
        return folder_dataset(config, args.images, args.labels, suffix=args.suffix, label_suffix=args.label_suffix)
    if any((args.labels, args.suffix, args.label_suffix)):
        raise UserError(None, '--labels and suffixes belong to --images', 'name the folder of the images too')
    return config_dataset(config)


def at_least(lowest: int) -> Callable[[str], int]:
    """Parser of a whole number that is not below a limit."""

    def parse(text: str) -> int:
        if not text.strip().isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f'{text!r}: give a whole number >= {lowest}')
        return int(text)

    return parse
