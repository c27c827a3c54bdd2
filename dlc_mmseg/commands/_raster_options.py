"""Options that say how rasters are read, shared by commands."""

from __future__ import annotations

import argparse

from dlc_mmseg.commands._spelling import add_option


def add_raster_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--bands``, ``--scale`` and ``--nodata``, with the meaning they have in `LoadRasterFromFile`.

    Args:
        parser: Where to add them.
    """
    help_bands = 'numbers of the bands in the order wanted, the first being 1 (default: all as they lie)'
    add_option(parser, 'bands', nargs='+', type=int, metavar='N', help=help_bands)
    help_scale = "factor of stored values, one or one per band, or 'file' for those the file states (default: 1)"
    add_option(parser, 'scale', nargs='+', type=number_or_word('file'), metavar='X', help=help_scale)
    help_nodata = "value of pixels without data, one or one per band, 'file' for the file's, or 'none' (default: file)"
    add_option(parser, 'nodata', nargs='+', type=number_or_word('file', 'none'), metavar='X', help=help_nodata)


def number_or_word(*words: str) -> type:
    """Parser of a number or one of a few words.

    Args:
        words: The words.
    """

    def parse(text: str) -> float | str:
        if text.lower() in words:
            return text.lower()
        try:
            return float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{text!r}: give a number or {" or ".join(words)}') from None

    return parse  # type: ignore[return-value]  # argparse takes any callable


def reading_options(args: argparse.Namespace) -> dict[str, object]:
    """Arguments of `LoadRasterFromFile` that were given on the command line.

    Args:
        args: What `add_raster_options` declares.

    Returns:
        Only those given.
    """
    options: dict[str, object] = {}
    if args.bands is not None:
        options['bands'] = args.bands
    for name in ('scale', 'nodata'):
        values = getattr(args, name)
        if values is not None:
            value = values[0] if len(values) == 1 else values
            options[name] = None if value == 'none' else value
    return options
